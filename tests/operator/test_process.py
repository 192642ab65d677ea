import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.kube.credentials import Credentials
from ringfence_operator.process import Process, _suffix
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.settings import Settings
from tests.operator.reconcile.api_server import FakeApiServer
from tests.operator.resources.objects import NOW, agent_body, policy_body


class Replica:
    """A process whose caches a test fills and whose writes go to a server in memory."""

    def __init__(self, **settings: Any) -> None:
        self.failures = 0
        self.process = Process(
            Settings(**{"leader_elect": False, "egress_backend": "none"} | settings),
            Credentials(server="https://127.0.0.1:1"),
            on_failure=self._fail,
        )
        self.view = self.process._caches.view

    def _fail(self) -> None:
        self.failures += 1

    async def close(self) -> None:
        self.process._follow()
        await self.process._client.close()
        await self.process._lease_client.close()


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    found = Replica()
    yield found
    await found.close()


@pytest.mark.parametrize("kind", ["Agent", "AgentPool", "Connector", "SecurityPolicy", "NetworkPolicy", "NetworkProbe"])
async def test_an_object_that_is_gone_needs_nothing(replica: Replica, kind: str) -> None:
    assert await replica.process._reconcile(Task(kind, "team", "gone")) is None


async def test_agents_are_counted_by_namespace_and_state(replica: Replica) -> None:
    for name, namespace, status in (
        ("a", "team", {"state": "Running"}),
        ("b", "team", {"state": "Running"}),
        ("c", "team", None),
        ("d", "other", {"state": "Failed"}),
    ):
        replica.view.agents.store(agent_body(name, namespace=namespace, status=status))

    assert replica.process._states() == {("team", "Running"): 2, ("team", "Pending"): 1, ("other", "Failed"): 1}


async def test_a_follower_does_nothing_and_a_leader_begins_with_everything(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Task] = []

    async def reconcile(task: Task) -> None:
        seen.append(task)

    monkeypatch.setattr(replica.process, "_reconcile", reconcile)
    replica.view.agents.store(agent_body())
    replica.view.policies.store(policy_body())
    await _turns()
    as_follower = list(seen)

    replica.process._lead()
    await _turns()

    assert as_follower == []
    assert sorted(seen) == [Task("Agent", "team", "a"), Task("SecurityPolicy", "team", "p")]


async def test_a_leader_that_lost_the_lease_begins_no_pass(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Task] = []

    async def reconcile(task: Task) -> None:
        seen.append(task)

    monkeypatch.setattr(replica.process, "_reconcile", reconcile)
    replica.process._lead()
    await _turns()
    replica.process._follow()
    await _turns()

    replica.view.agents.store(agent_body())
    await _turns()
    before = list(seen)
    replica.process._lead()
    await _turns()

    assert before == []
    assert seen == [Task("Agent", "team", "a")]


async def test_a_part_that_ends_ends_the_replica(replica: Replica) -> None:
    async def broken() -> None:
        raise RuntimeError("bug")

    replica.process._run("caches", broken())
    await _turns()

    assert replica.failures == 1


async def test_a_part_that_is_stopped_is_no_failure(replica: Replica) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    replica.process._run("caches", forever())
    await _turns()
    replica.process._background[0].cancel()
    await _turns()

    assert replica.failures == 0


async def test_an_agent_is_reconciled_with_the_caches_and_the_client(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Any = FakeApiServer(lambda: NOW)
    for name in ("get", "create", "replace", "merge_patch", "delete"):
        monkeypatch.setattr(replica.process._client, name, getattr(server, name))
    raw = server.add("agents", agent_body(), "team")
    replica.view.agents.store(raw)

    await replica.process._reconcile(Task("Agent", "team", "a"))

    assert [place[0] for place in server.objects] == ["agents", "networkpolicies", "pods"]


async def test_a_pool_is_reconciled_and_an_agent_that_waits_for_it_is_woken(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Any = FakeApiServer(lambda: NOW)
    for name in ("get", "create", "replace", "merge_patch", "delete"):
        monkeypatch.setattr(replica.process._client, name, getattr(server, name))
    meta, spec = {"name": "p", "namespace": "team"}, {"size": 0, "template": {"image": "i"}}
    replica.view.pools.store(server.add("agentpools", {"metadata": meta, "spec": spec}, "team"))

    await replica.process._reconcile(Task("AgentPool", "team", "p"))
    replica.view.pooling.wake(("team", "a"))
    replica.view.pooling.wake_pool(("team", "p"), True)

    assert server.writes[0] == "replace agentpools/status"
    marked = [replica.process._queue.get_nowait() for _ in range(2)]
    assert marked == [Task("Agent", "team", "a"), Task("AgentPool", "team", "p")]


def test_pods_of_a_pool_have_names_that_are_hard_to_guess_twice() -> None:
    assert len({_suffix() for _ in range(100)}) == 100
    assert all(re.fullmatch("[b-z2-9]{5}", _suffix()) for _ in range(100))


async def _turns() -> None:
    """Let every other task have its turn, as often as a few steps take."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_feed_that_ends_ends_the_replica_and_one_that_is_stopped_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replica = Replica(egress_backend="envoy", control_socket=str(tmp_path / "s"))
    replica.process._lead()
    await _turns()
    replica.process._follow()
    await _turns()
    stopped = replica.failures

    async def broken(_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("ringfence_operator.egress.feed.Feed.run", broken)
    replica.process._lead()
    await _turns()

    assert (stopped, replica.failures) == (0, 1)
    await replica.close()


async def test_where_cilium_judges_names_there_is_no_gateway_and_its_policies_are_reconciled() -> None:
    settings = Settings(leader_elect=False, egress_backend="cilium")
    process = Process(settings, Credentials(server="https://127.0.0.1:1"), on_failure=lambda: None)

    again = [await process._reconcile(Task(kind, "team", "gone")) for kind in ("SecurityPolicy", "NetworkPolicy")]

    assert again == [None, None]
    assert process._caches.view.has_cilium
    assert process._egress is None
    await process._client.close()
    await process._lease_client.close()
