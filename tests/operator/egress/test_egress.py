import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ringfence_operator.egress.egress import TOGETHER_SECONDS, Egress
from ringfence_operator.egress.identity import CHECK_SECONDS
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.resources.port_set import connector_holder
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.settings import Settings
from tests.operator.egress.test_feed import Control
from tests.operator.egress.test_ledger import port_set
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.connectors import connector_body, snowflake
from tests.operator.resources.objects import NOW, policy_body
from tests.operator.runtime.clock import FakeClock

Raw = dict[str, Any]


class Leader:
    """The gateway from a leader's side, and its control process."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.cluster = Cluster(Settings(control_socket=str(path), **settings))
        self.control = Control(path)
        self.clock = FakeClock()
        self.queue: WorkQueue[Task] = WorkQueue(clock=self.clock, call_later=self.clock.call_later)
        self.egress = Egress(
            self.cluster.view, self.cluster.api, self.cluster.networks, self.queue, on_change=lambda _: None
        )

    async def lead(self) -> None:
        await self.control.start()
        self.egress.lead()
        await self.egress.reconcile(NOW)
        await self.control.accept()

    def publish(self, name: str, block: int) -> None:
        self.egress.feed.publish(port_set(block=block, policy=f"team/{name}"), generation=1)
        self.egress.looked_at(f"team/{name}")


@pytest.fixture
async def leader(tmp_path: Path) -> AsyncIterator[Leader]:
    found = Leader(tmp_path / "s", gateway_resolvers=("192.0.2.53",))
    for name in ("p", "q"):
        found.cluster.have("securitypolicies", policy_body(name))
    yield found
    found.egress.follow()
    await found.control.close()


async def test_gateways_are_served_once_every_policy_has_been_published(leader: Leader) -> None:
    await leader.lead()
    leader.publish("p", 0)
    leader.publish("q", 1)

    kinds = await leader.control.kinds(5)

    assert sorted(kinds[:-1]) == ["identity", "portSet", "portSet", "settings"]
    assert kinds[-1] == "synced"


async def test_without_policies_gateways_are_served_at_once(leader: Leader) -> None:
    leader.cluster.tables["securitypolicies"].cache.clear()

    await leader.lead()

    kinds = await leader.control.kinds(3)
    assert (sorted(kinds[:-1]), kinds[-1]) == (["identity", "settings"], "synced")


@pytest.mark.parametrize("how", ["gone", "going"])
async def test_a_policy_that_goes_before_its_first_pass_is_not_waited_for(leader: Leader, how: str) -> None:
    await leader.lead()
    leader.publish("p", 0)
    table = leader.cluster.tables["securitypolicies"]
    del table.cache["team", "q"]
    if how == "going":
        body = policy_body("q")
        body["metadata"] |= {"deletionTimestamp": "2026-11-23T12:00:00Z", "resourceVersion": "99"}
        table.store(body)

    leader.egress.looked_at("team/q")

    assert (await leader.control.kinds(4))[-1] == "synced"


async def test_a_policy_that_cannot_be_published_keeps_the_others_closed_only_so_long(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_operator.egress.egress.PATIENCE_SECONDS", 0.5)
    await leader.lead()
    leader.publish("p", 0)

    leader.egress.looked_at("team/q")

    assert (await leader.control.kinds(4))[-1] == "synced"


async def test_a_connector_with_a_host_outside_is_waited_for_and_one_without_is_not(leader: Leader) -> None:
    leader.cluster.tables["securitypolicies"].cache.clear()
    leader.cluster.have("connectors", connector_body("out", snowflake()))
    leader.cluster.have("connectors", connector_body("inside"))
    await leader.lead()

    leader.egress.looked_at(connector_holder("team", "out"))
    held = port_set(block=1, policy=connector_holder("team", "out"))
    leader.egress.feed.publish(held, generation=1)
    leader.egress.looked_at(connector_holder("team", "out"))

    kinds = await leader.control.kinds(4)
    assert (kinds.index("portSet") < kinds.index("synced"), kinds[-1]) == (True, "synced")


async def test_another_seed_and_another_authority_are_told_once(leader: Leader) -> None:
    told: list[None] = []
    leader.egress._on_identity = lambda: told.append(None)

    for _ in range(2):
        await leader.egress.reconcile(NOW)

    assert len(told) == 1
    assert "BEGIN CERTIFICATE" in leader.cluster.view.control.authority
    assert leader.egress.credentials.proxy("uid") is not None


async def test_a_pass_that_failed_is_waited_for(leader: Leader) -> None:
    await leader.lead()
    leader.publish("p", 0)
    leader.egress.looked_at("team/q")
    leader.publish("q", 1)

    kinds = await leader.control.kinds(5)

    assert kinds[-1] == "synced"


async def test_a_follower_feeds_nobody(leader: Leader) -> None:
    await leader.lead()

    leader.egress.follow()

    while line := await asyncio.wait_for(leader.control.reader.readline(), 5):
        assert orjson.loads(line)["kind"] != "synced"


async def test_the_gateway_is_confined_before_anything_is_served(leader: Leader) -> None:
    found = await leader.egress.reconcile(NOW)
    first = list(leader.cluster.api.writes)
    await leader.egress.reconcile(NOW)

    assert found == CHECK_SECONDS
    assert first == leader.cluster.api.writes == ["create networkpolicies", "create secrets", "create secrets"]
    assert leader.cluster.names == ["ringfence-gateway"]


async def test_settings_reach_the_control_process(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("PEM")
    credential = tmp_path / "credential"
    credential.write_text("gateway@corp:p/a:s\n")
    leader = Leader(
        tmp_path / "s",
        gateway_resolvers=("192.0.2.53",),
        upstream_proxy="https://proxy.example:3128",
        upstream_proxy_credential=str(credential),
        upstream_proxy_authority=str(authority),
        pod_cidrs=("10.0.0.0/16",),
    )

    await leader.lead()

    settings = next(each for each in await leader.control.hear(2) if each["kind"] == "settings")
    assert "10.0.0.0/16" in settings.pop("reserved")
    assert settings == {
        "kind": "settings",
        "resolvers": ["192.0.2.53"],
        "upstreamProxy": "https://gateway%40corp:p%2Fa%3As@proxy.example:3128",
        "upstreamProxyAuthority": "PEM",
        "clusterDomain": "cluster.local",
    }
    leader.egress.follow()
    await leader.control.close()


async def test_names_that_agents_asked_for_are_told_later_and_once_for_many(leader: Leader) -> None:
    await leader.lead()
    leader.publish("p", 0)
    told: Callable[[], None] = lambda: leader.egress._seen("team/p")  # noqa: E731

    for _ in range(20):
        told()
    at_once = len(leader.queue)
    leader.clock.advance(TOGETHER_SECONDS)

    assert (at_once, len(leader.queue)) == (0, 1)
    assert await leader.queue.get() == Task("SecurityPolicy", "team", "p")
