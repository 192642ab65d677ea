"""Agents that the kubelet or the kernel has ended at a quota's limit: the quota counts them."""

from typing import Any

import pytest

from ringfence_operator.reconcile.quota_sources import NodeLimits
from ringfence_operator.reconcile.quota_use import Use
from tests.operator.reconcile.fleet import Fleet, quota_body

Raw = dict[str, Any]
TASK: Raw = {"mode": "Task", "backoff": {"limit": 5}}
POD_WORDS = "Pod ephemeral local storage usage exceeds the total limit of containers 32Mi. "
CONTAINER_WORDS = 'Container agent exceeded its local ephemeral storage limit "32Mi". '


class Evicted:
    """An agent `a` under a limit on disk, whose pod the kubelet evicts."""

    def __init__(self, **spec: Any) -> None:
        self.fleet = Fleet()
        self.fleet.quota(quota_body(resource="ephemeralStorage", max="32Mi"))
        self.fleet.agent("a", **TASK, **spec)

    async def evict(self, message: str) -> None:
        fleet = self.fleet
        await fleet.look("a")
        fleet.run_pod("a", fleet.now)
        await fleet.look("a")
        fleet.run_pod("a", fleet.now, phase="Failed", reason="Evicted", message=message, containerStatuses=[])
        await fleet.look("a")

    @property
    def use(self) -> Use:
        quota = self.fleet.view.quotas.get("team", "q")
        assert quota is not None
        return NodeLimits(self.fleet.view).uses(quota)["ephemeralStorage/None/PerAgent"]


@pytest.mark.parametrize("message", [POD_WORDS, CONTAINER_WORDS])
async def test_an_agent_that_is_evicted_at_its_quotas_limit_on_disk_is_counted_once(message: str) -> None:
    evicted = Evicted()
    heard: list[tuple[str, str]] = []
    evicted.fleet.view.node_kills.on_use = heard.append

    await evicted.evict(message)
    evicted.fleet.deliver()
    await evicted.fleet.look("a")

    found = evicted.use
    assert (found.refusals, found.seen_refusals, found.refused_agent) == (1, 1, "a")
    assert (found.refused_at, found.refused) == (evicted.fleet.now, {"a": evicted.fleet.now})
    assert not found.is_measured
    assert heard == [("team", "q")]


@pytest.mark.parametrize(
    "message",
    [
        'Usage of EmptyDir volume "writable-0" exceeds the limit "64Mi". ',
        "The node was low on resource: ephemeral-storage. ",
        'Container sidecar exceeded its local ephemeral storage limit "64Mi". ',
    ],
)
async def test_who_is_evicted_for_anything_else_is_not(message: str) -> None:
    evicted = Evicted()

    await evicted.evict(message)

    assert evicted.use.refusals == 0


async def test_a_limit_that_the_agent_has_set_itself_is_nobody_elses() -> None:
    evicted = Evicted(resources={"limits": {"ephemeral-storage": "16Mi"}})

    await evicted.evict(POD_WORDS)

    assert evicted.use.refusals == 0


async def test_another_leader_that_sees_the_same_pod_counts_it_as_told_before() -> None:
    evicted = Evicted()
    await evicted.evict(POD_WORDS)
    fleet = evicted.fleet

    fleet.start_operator()
    fleet.deliver()
    fleet.lead()
    await fleet.look("a")

    assert (evicted.use.refusals, evicted.use.seen_refusals) == (1, 0)
