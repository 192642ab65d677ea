"""A pass over a Quota against the real API server: its status fits the CRD, and what comes back is what was written."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.caches import Caches
from ringfence_operator.kube.client import Client
from ringfence_operator.reconcile.quota import QuotaTools, reconcile_quota
from ringfence_operator.reconcile.quota_use import Use
from ringfence_operator.runtime.queue import WorkQueue
from tests.backends.waiting import eventually
from tests.cluster.api_server import ApiServer, Body, collection
from tests.cluster.rows import agent, quota
from tests.cluster.wire import credentials_from
from tests.operator.reconcile.test_quota import FakeSource
from tests.operator.resources.objects import SETTINGS

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIMITS: list[Body] = [
    {"resource": "queries", "max": 100, "window": "Hour", "scope": "Shared", "warnAt": [50]},
    {"resource": "bytesReturned", "max": "1.5Gi", "window": "Day", "alignment": "Calendar"},
    {"resource": "querySeconds", "max": "1k", "window": "Month"},
    {"resource": "cpu", "max": "1500m"},
]
USES = {
    "queries/Hour/Shared": Use(
        used=50.0,
        per_agent={"x": 30.0, "y": 20.0},
        resets_at=NOW + timedelta(seconds=61.5),
        refusals=2,
        refused_at=NOW,
        refused_agent="x",
    ),
    "bytesReturned/Day/PerAgent": Use(used=1_610_612.5, per_agent={"x": 1_610_612.5}),
    "querySeconds/Month/PerAgent": Use(used=0.25, per_agent={"x": 0.25}, trouble=(Reason.STORE_UNAVAILABLE, "wait")),
}


class Bed:
    """An operator's caches that follow the API server, and a quota with an agent."""

    def __init__(self, server: ApiServer, client: Client, caches: Caches, namespace: str) -> None:
        self.server = server
        self.source = FakeSource()
        self.source.said = USES
        self.tools = QuotaTools(caches.view, client, (self.source,))
        tag = secrets.token_hex(3)
        self.body = quota(namespace, {"limits": LIMITS}, name=f"pass-{tag}")
        self.agent = agent(namespace, {"suspend": True, "quotaRef": {"name": f"pass-{tag}"}}, name=f"pass-{tag}")
        self.key = (namespace, f"pass-{tag}")

    @property
    def quota(self) -> Quota | None:
        return self.tools.view.quotas.get(*self.key)

    @property
    def stored(self) -> Body:
        return self.server.request("GET", f"{collection(self.body)}/{self.key[1]}").expect()

    def events(self) -> list[tuple[str, str]]:
        path = f"/api/v1/namespaces/{self.key[0]}/events"
        uid = self.stored["metadata"]["uid"]
        found = self.server.request("GET", path, fieldSelector=f"involvedObject.uid={uid}").expect()["items"]
        return sorted((each["type"], each["reason"]) for each in found)

    async def look(self, *, after: float = 0.0) -> None:
        assert self.quota is not None
        await reconcile_quota(self.quota, self.tools, now=NOW + timedelta(seconds=after))


@pytest.fixture
async def bed(crds: ApiServer, kubeconfig: Path, namespace: str) -> AsyncIterator[Bed]:
    async with Client(credentials_from(kubeconfig)) as client:
        caches = Caches(client, SETTINGS, WorkQueue())
        following = asyncio.create_task(caches.run())
        found = Bed(crds, client, caches, namespace)
        try:
            for body in (found.body, found.agent):
                crds.create(body).expect()
            view = caches.view
            await eventually(
                lambda: found.quota is not None and view.agents.get(*found.key) is not None,
                what="both are in the caches",
                seconds=60,
            )
            yield found
        finally:
            following.cancel()
            await asyncio.wait([following], timeout=10)
            for body in (found.body, found.agent):
                crds.delete(body)


async def test_a_status_is_stored_as_it_was_written_and_costs_no_second_write(bed: Bed) -> None:
    await bed.look()
    first = bed.stored

    await bed.look(after=60)

    again = bed.stored
    status: dict[str, Any] = first["status"]
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert Quota.from_body(first).status == (bed.quota.status if bed.quota else None)
    assert (status["agents"], status["tightest"]) == (1, "queries 50/100 per Hour")
    assert [(each["resource"], each.get("used"), each["max"]) for each in status["limits"]] == [
        ("queries", "50", "100"),
        ("bytesReturned", "1610613", "1536Mi"),
        ("querySeconds", "1", "1k"),
        ("cpu", None, "1500m"),
    ]
    assert [(each["type"], each["reason"]) for each in status["conditions"]] == [
        ("Ready", "StoreUnavailable"),
        ("Reconciling", "StoreUnavailable"),
    ]
    assert bed.events() == [
        ("Warning", "QuotaRefused"),
        ("Warning", "QuotaWarning"),
        ("Warning", "StoreUnavailable"),
    ]


async def test_a_change_of_the_spec_is_told_as_seen(bed: Bed) -> None:
    await bed.look()
    path = f"{collection(bed.body)}/{bed.key[1]}"
    limits = [{**LIMITS[0], "max": 60}]
    content = "application/merge-patch+json"
    bed.server.request("PATCH", path, {"spec": {"limits": limits}}, content_type=content).expect()
    await eventually(lambda: bed.quota is not None and len(bed.quota.spec.limits) == 1, what="it is seen", seconds=60)

    await bed.look(after=11)

    found = bed.stored
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2
    assert [each["percent"] for each in found["status"]["limits"]] == [83]
