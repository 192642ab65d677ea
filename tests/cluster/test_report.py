"""What writing a status promises, kept by the real API server."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentState, AgentStatus, LastExit
from ringfence_operator.api.conditions import Condition, ConditionType, Reason, set_condition
from ringfence_operator.errors import ConflictError, NotFoundError
from ringfence_operator.kube.client import Client
from ringfence_operator.reconcile.ports import RINGFENCE, path
from ringfence_operator.reconcile.report import report
from tests.cluster.api_server import MERGE, ApiServer, Body
from tests.cluster.wire import credentials_from

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FAILED = AgentStatus(
    observed_generation=1,
    state=AgentState.RESTARTING,
    conditions=set_condition((), ConditionType.STALLED, True, Reason.CRASHED, "exit code 1", now=NOW, generation=1),
    pod_name="a",
    restarts=1,
    last_exit=LastExit(code=1, reason="Error"),
)
"""Without a transition that makes an Event: Ready is not in it."""
RUNNING = AgentStatus(observed_generation=1, state=AgentState.RUNNING, pod_name="a")


class Stored:
    """An Agent in the API server, which somebody else writes to as well."""

    def __init__(self, server: ApiServer, client: Client, body: Body) -> None:
        self._server = server
        self._client = client
        self.body = server.create(body).expect()
        meta = self.body["metadata"]
        self.path = path(RINGFENCE, meta["namespace"], "agents", meta["name"])

    async def report(self, status: AgentStatus, seen: Body | None = None) -> dict[str, Any]:
        """Write `status` to what was `seen`, or else to what is there now."""
        about = Agent.from_body(seen or self.now()).model_copy(update={"status": status})
        return await report(about, status, kube=self._client, now=NOW)

    def now(self) -> Body:
        return self._server.request("GET", self.path).expect()

    def meddle(self, change: Body, part: str = "", *, manager: str = "stranger") -> Body:
        target = f"{self.path}/{part}" if part else self.path
        return self._server.request("PATCH", target, change, content_type=MERGE, fieldManager=manager).expect()

    def delete(self) -> None:
        self._server.request("DELETE", self.path).expect()


@pytest.fixture
async def stored(crds: ApiServer, kubeconfig: Path, namespace: str) -> AsyncIterator[Stored]:
    body = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": f"report-{secrets.token_hex(3)}", "namespace": namespace, "labels": {"team": "a"}},
        "spec": {"image": "registry.example/agent:1", "suspend": True},
    }
    async with Client(credentials_from(kubeconfig)) as client:
        yield Stored(crds, client, body)


async def test_a_field_that_a_status_no_longer_has_is_gone(stored: Stored) -> None:
    await stored.report(FAILED)
    before = stored.now()["status"]

    answer = await stored.report(RUNNING)

    assert before["lastExit"]["code"] == 1
    assert [each["type"] for each in before["conditions"]] == ["Stalled"]
    assert answer["status"] == stored.now()["status"] == RUNNING.to_body()


async def test_what_somebody_else_put_into_a_status_does_not_stay(stored: Stored) -> None:
    await stored.report(RUNNING)
    strange = Condition(type="Strange", status="True", reason="X", message="", last_transition_time=NOW).to_body()
    stored.meddle({"status": {"workspaceClaim": "theirs", "conditions": [strange], "failures": 7}}, "status")

    await stored.report(RUNNING)

    assert stored.now()["status"] == RUNNING.to_body()


async def test_a_status_of_what_has_changed_meanwhile_is_refused(stored: Stored) -> None:
    seen = stored.now()
    stored.meddle({"spec": {"suspend": False}})

    with pytest.raises(ConflictError):
        await stored.report(RUNNING, seen)

    assert stored.now()["status"] == seen["status"]


async def test_a_status_of_a_namesake_is_refused(stored: Stored) -> None:
    seen = stored.now()
    seen["metadata"] |= {"uid": "00000000-0000-4000-8000-000000000000"}

    with pytest.raises(ConflictError):
        await stored.report(RUNNING, seen)


async def test_a_status_of_what_is_gone_makes_nothing(stored: Stored) -> None:
    seen = stored.now()
    stored.delete()

    with pytest.raises(NotFoundError):
        await stored.report(RUNNING, seen)


async def test_a_status_changes_nothing_but_the_status(stored: Stored) -> None:
    stored.meddle({"metadata": {"annotations": {"note": "theirs"}}})
    before = stored.now()

    await stored.report(RUNNING)

    after = stored.now()
    assert after["spec"] == before["spec"]
    kept = ("labels", "annotations", "generation", "uid", "creationTimestamp")
    assert {name: after["metadata"].get(name) for name in kept} == {name: before["metadata"][name] for name in kept}
    managers = {each["manager"] for each in after["metadata"]["managedFields"]}
    assert managers == {"tests", "stranger", "ringfence"}
