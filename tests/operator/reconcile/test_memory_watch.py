import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.memory_use import told_percent
from ringfence_operator.reconcile.memory_watch import MemoryWatch
from ringfence_operator.reconcile.node_kills import Kill
from ringfence_operator.reconcile.quota import QuotaTools, reconcile_quota
from ringfence_operator.reconcile.quota_figures import limit_status
from ringfence_operator.reconcile.quota_sources import NodeLimits
from ringfence_operator.reconcile.quota_use import Use
from tests.operator.reconcile.fleet import Fleet, quota_body
from tests.operator.resources.objects import node_body

Raw = dict[str, Any]
MEBI = 2**20
SECONDS = 20


class FakeKubelets:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.working: dict[str, int] = {}
        self.trouble = ""
        self.hangs: dict[str, asyncio.Event] = {}
        """Those that say nothing, until then."""

    async def memory(self, address: str, port: int) -> dict[str, int]:
        self.asked.append((address, port))
        if address in self.hangs:
            await self.hangs[address].wait()
            raise UnavailableError("no answer")
        if self.trouble:
            raise UnavailableError(self.trouble)
        return self.working


class Watched:
    """A fleet whose agents run on nodes, and who asks the kubelets."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.kubelets = FakeKubelets()
        self.told: list[tuple[str, str]] = []
        self.on_told: Callable[[], None] = lambda: None
        self.watch = MemoryWatch(self.fleet.view, self.kubelets, on_use=self._hear)

    def _hear(self, quota: tuple[str, str]) -> None:
        self.told.append(quota)
        self.on_told()

    def node(self, name: str, address: str) -> None:
        self.fleet.api.add("nodes", node_body(name, addresses=[{"type": "InternalIP", "address": address}]))
        self.fleet.deliver()

    async def agent(self, name: str, node: str, **spec: Any) -> None:
        fleet = self.fleet
        await fleet.look(fleet.agent(name, **spec))
        fleet.api.change(("pods", "team", name), lambda raw: raw["spec"].update(nodeName=node))
        fleet.run_pod(name, fleet.now)

    def uses(self, name: str, amount: int) -> None:
        self.kubelets.working[self.fleet.pod(name)["metadata"]["uid"]] = amount

    def use(self) -> Use:
        quota = self.fleet.view.quotas.get("team", "q")
        assert quota is not None
        return NodeLimits(self.fleet.view).uses(quota)["memory/None/PerAgent"]


def memory(**more: Any) -> Raw:
    return quota_body(**{"resource": "memory", "max": "100Mi", "warnAt": [80]} | more)


@pytest.fixture
def watched() -> Watched:
    found = Watched()
    found.node("n1", "10.0.0.1")
    found.node("n2", "10.0.0.2")
    found.node("n3", "10.0.0.3")
    return found


async def test_each_node_that_has_such_an_agent_is_asked_once_and_no_other(watched: Watched) -> None:
    watched.fleet.quota(memory())
    for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2")):
        await watched.agent(name, node)

    await watched.watch.look()

    assert sorted(watched.kubelets.asked) == [("10.0.0.1", 10250), ("10.0.0.2", 10250)]


async def test_where_memory_is_not_limited_no_kubelet_is_asked(watched: Watched) -> None:
    watched.fleet.quota(memory(resource="cpu", max="1", warnAt=[]))
    await watched.agent("a", "n1")

    await watched.watch.look()

    assert watched.kubelets.asked == []


async def test_how_near_a_limit_is_is_told_though_nobody_is_to_be_warned(watched: Watched) -> None:
    watched.fleet.quota(memory(warnAt=[]))
    await watched.agent("a", "n1")
    watched.uses("a", 87 * MEBI)

    await watched.watch.look()

    assert (watched.use().is_measured, watched.use().used) == (True, 85 * MEBI)


async def test_a_kubelet_that_does_not_answer_is_trouble_only_where_somebody_is_to_be_warned(watched: Watched) -> None:
    watched.fleet.quota(memory(warnAt=[]))
    await watched.agent("a", "n1")
    watched.kubelets.trouble = "no route to host"

    await watched.watch.look()

    assert (watched.use().is_measured, watched.use().trouble) == (False, None)


async def test_before_kubelets_were_asked_nobody_knows_what_is_used(watched: Watched) -> None:
    watched.fleet.quota(memory())
    await watched.agent("a", "n1")
    before = watched.use()

    await watched.watch.look()

    assert before.is_awaited
    assert not watched.use().is_awaited
    assert watched.told == [("team", "q")]


async def test_what_an_agent_uses_on_a_node_that_cannot_be_asked_is_not_known(watched: Watched) -> None:
    watched.fleet.quota(memory())
    await watched.watch.look()
    nobody = watched.use()
    await watched.agent("a", "nowhere")

    await watched.watch.look()

    row = limit_status(_limit(watched), watched.use(), None, now=watched.fleet.now)
    assert (nobody.is_measured, nobody.used) == (True, 0)
    assert (row.used, row.percent) == (None, None)


async def test_who_answers_is_told_of_while_another_kubelet_does_not(watched: Watched) -> None:
    watched.fleet.quota(memory())
    await watched.agent("a", "n1")
    await watched.agent("b", "n2")
    watched.uses("a", 87 * MEBI)
    over, told = asyncio.Event(), asyncio.Event()
    watched.kubelets.hangs["10.0.0.2"] = over
    watched.on_told = told.set

    looking = asyncio.create_task(watched.watch.look())
    async with asyncio.timeout(SECONDS):
        await told.wait()
        meanwhile = watched.use().per_agent
        over.set()
        await looking

    assert meanwhile == {"a": 85 * MEBI}
    assert watched.use().trouble is not None


async def test_the_use_of_each_agent_is_told_and_the_most_is_the_quotas(watched: Watched) -> None:
    watched.fleet.quota(memory())
    await watched.agent("a", "n1")
    await watched.agent("b", "n1")
    watched.uses("a", 33 * MEBI)
    watched.uses("b", 87 * MEBI)

    await watched.watch.look()

    found = watched.use()
    assert found.used == 85 * MEBI
    assert found.per_agent == {"a": 30 * MEBI, "b": 85 * MEBI}
    assert watched.told == [("team", "q")]


async def test_an_agent_is_warned_of_its_own_limit_where_that_is_less_than_the_quotas(watched: Watched) -> None:
    watched.fleet.quota(memory(max="400Mi"))
    own = {"limits": {"memory": "100Mi", "cpu": "1"}, "requests": {"memory": "10Mi", "cpu": "10m"}}
    await watched.agent("small", "n1", resources=own)
    await watched.agent("large", "n1")
    tools = QuotaTools(watched.fleet.view, watched.fleet.api, (NodeLimits(watched.fleet.view),))
    watched.uses("small", 87 * MEBI)
    watched.uses("large", 203 * MEBI)
    await watched.watch.look()
    quota = watched.fleet.view.quotas.get("team", "q")
    assert quota is not None

    await reconcile_quota(quota, tools, now=watched.fleet.now + timedelta(seconds=60))

    found = watched.use()
    assert found.per_agent == {"small": 85 * MEBI, "large": 200 * MEBI}
    assert found.most == {"small": "100Mi"}
    events = [raw["message"] for place, raw in watched.fleet.api.objects.items() if place[0] == "events"]
    assert [each for each in events if "reached" in each] == ["memory 85Mi/100Mi: 80 % is reached by agent small"]
    [row] = watched.fleet.api.objects["quotas", "team", "q"]["status"]["limits"]
    assert (row["used"], row["percent"], row["lastWarning"]["agent"]) == (str(200 * MEBI), 50, "small")
    assert [ratio for _, ratio, _, _ in watched.fleet.view.quota_knowledge.series()] == [0.85]


async def test_an_operator_that_begins_warns_of_no_agents_own_limit_again(watched: Watched) -> None:
    watched.fleet.quota(memory(max="10Gi"))
    own = {"limits": {"memory": "123456789", "cpu": "1"}, "requests": {"memory": "10Mi", "cpu": "10m"}}
    for number in range(7):
        await watched.agent(f"a{number}", "n1", resources=own)
        watched.uses(f"a{number}", 105_000_000 + number)
    await watched.watch.look()
    now = watched.fleet.now + timedelta(seconds=60)
    for _ in range(2):
        quota = watched.fleet.view.quotas.get("team", "q")
        assert quota is not None
        tools = QuotaTools(watched.fleet.view, watched.fleet.api, (NodeLimits(watched.fleet.view),))
        await reconcile_quota(quota, tools, now=now)
        watched.fleet.deliver()

    events = [raw["message"] for place, raw in watched.fleet.api.objects.items() if place[0] == "events"]
    assert len([each for each in events if "reached" in each]) == 7


async def test_what_stays_about_the_same_is_no_news(watched: Watched) -> None:
    watched.fleet.quota(memory())
    await watched.agent("a", "n1")
    for use in (52, 54, 50, 49, 47):
        watched.uses("a", use * MEBI)
        await watched.watch.look()

    assert len(watched.told) == 1


async def test_a_threshold_is_told_though_it_is_between_two_steps(watched: Watched) -> None:
    watched.fleet.quota(memory(warnAt=[83]))
    await watched.agent("a", "n1")
    found = []
    for use in (82, 84):
        watched.uses("a", use * MEBI)
        await watched.watch.look()
        found.append(watched.use().used / MEBI)

    assert found == [80, 83]


@pytest.mark.parametrize(
    ("exact", "before", "expected"),
    [(0, None, 0), (4.9, None, 0), (97, 80, 95), (120, None, 120), (76, 80, 80), (74, 80, 70)],
)
def test_use_is_told_in_steps_and_falls_only_when_it_has_fallen(
    exact: float, before: int | None, expected: int
) -> None:
    assert told_percent(exact, before, [80]) == expected


async def test_a_kubelet_that_does_not_answer_is_told_once_and_so_is_its_coming_back(watched: Watched) -> None:
    watched.fleet.quota(memory())
    await watched.agent("a", "n1")
    watched.kubelets.trouble = "403 Forbidden"
    for _ in range(3):
        await watched.watch.look()
    silent = watched.use().trouble
    told = len(watched.told)
    watched.kubelets.trouble = ""

    await watched.watch.look()

    assert silent is not None
    assert silent[0] == "KubeletUnreachable"
    assert "kubelet of node n1" in silent[1]
    assert "403 Forbidden" in silent[1]
    assert (told, len(watched.told)) == (1, 2)
    assert watched.use().trouble is None


async def test_a_limit_on_bandwidth_is_not_supported_until_somebody_says_that_it_is(watched: Watched) -> None:
    quota = Quota.from_body(quota_body(resource="networkBandwidth", max="10M"))
    view = watched.fleet.view

    before = NodeLimits(view).uses(quota)["networkBandwidth/None/PerAgent"].trouble
    watched.fleet.settings = view.settings.model_copy(update={"bandwidth_annotations": True})
    watched.fleet.start_operator()

    assert before is not None
    assert before[0] == "NotSupported"
    assert "RINGFENCE_OPERATOR_BANDWIDTH_ANNOTATIONS=true" in before[1]
    assert NodeLimits(watched.fleet.view).uses(quota) == {}


async def test_agents_under_a_limit_on_bandwidth_run_only_where_it_is_kept() -> None:
    found = []
    for is_kept in (False, True):
        fleet = Fleet()
        fleet.settings = fleet.settings.model_copy(update={"bandwidth_annotations": is_kept})
        fleet.start_operator()
        fleet.quota(quota_body(resource="networkBandwidth", max="10M"))
        await fleet.look(fleet.agent("a"))
        found.append((fleet.pods, fleet.condition("a", "Ready").get("reason")))

    assert found[0] == ([], "NotSupported")
    assert found[1][0] == ["a"]


def test_a_kill_is_told_though_nobody_was_to_be_warned(watched: Watched) -> None:
    watched.fleet.quota(memory(warnAt=[]))
    kill = Kill("a", "2026-11-23T12:30:00Z", id="1")
    watched.fleet.view.node_kills.note(("team", "q"), Resource.MEMORY, "uid-a", kill, is_new=True)

    found = watched.use()
    row = limit_status(_limit(watched), found, None, now=watched.fleet.now)

    assert row.refusals == 1
    assert row.last_refusal is not None
    assert row.last_refusal.agent == "a"
    assert found.trouble is None


def _limit(watched: Watched) -> Limit:
    quota = watched.fleet.view.quotas.get("team", "q")
    assert quota is not None
    return quota.spec.limits[0]
