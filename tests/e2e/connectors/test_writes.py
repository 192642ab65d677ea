"""What agents with connectors cost the API server."""

import time
from pathlib import Path

import pytest

from ringfence_operator.reconcile.agent import QUIET_SECONDS
from tests.e2e.connectors.backend import until, using, usual
from tests.e2e.connectors.counting import lasting, until_quiet
from tests.e2e.installation import Installation
from tests.e2e.kube import address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import World
from tests.e2e.writes import AuditLog

TRIES = 3
FIGURES = 35
"""Longer than figures may wait to be told."""


@pytest.fixture
def audit(kubeconfig: Path) -> AuditLog:
    """The log to count in."""
    found = AuditLog(kubeconfig)
    if not found.exists:
        pytest.skip("this cluster keeps no audit log to count in")
    return found


def test_an_agent_with_connectors_costs_two_writes_and_none_once_it_runs(alone: World, audit: AuditLog) -> None:
    name = usual(alone)
    using(alone, name, agent="first").until_ready()
    until(alone, "Connector", name, "EndpointsUnhealthy")
    mark, settled = started_at_once(alone, audit, name)

    found = [each for each in lasting(audit, mark) if each.time <= settled]
    of_agent = [(each.verb, each.path.rpartition("/")[2]) for each in found if "/connectors/" not in each.path]
    assert of_agent == [("create", "pods"), ("update", "status")], [each.path for each in found]
    assert len(found) - len(of_agent) <= 2, "the connector's figures"


def started_at_once(world: World, audit: AuditLog, connector: str) -> tuple[int, str]:
    """Have an agent that starts as on a machine with time to spare; one that takes longer is told of once more.

    Returns the mark before it, and when nothing was written any more.
    """
    for number in range(TRIES):
        until_quiet(audit)
        mark, began = audit.mark(), time.monotonic()
        using(world, connector, agent=f"more-{number}").until_ready()
        took = time.monotonic() - began
        settled = until_quiet(audit, seconds=FIGURES)
        if took < QUIET_SECONDS:
            return mark, settled
    pytest.fail(f"none of {TRIES} agents was ready within {QUIET_SECONDS} s, the last one after {took:.1f} s")


def test_a_new_leader_writes_nothing_of_agents_and_connectors_that_have_settled(
    alone: World, audit: AuditLog, installed: Installation
) -> None:
    name = usual(alone)
    agents = [using(alone, name, agent=f"agent-{each}") for each in range(2)]
    for agent in agents:
        agent.until_ready()
    until(alone, "Connector", name, "EndpointsUnhealthy")
    until_quiet(audit, seconds=FIGURES)
    (leader,) = installed.leaders()
    mark = audit.mark()

    leader.delete()
    leader.until_gone()
    alone.kube.until(
        address("Lease", SYSTEM_NAMESPACE, "ringfence-operator"),
        lambda it: bool(it and it["spec"].get("holderIdentity") not in ("", leader.name)),
    )
    alone.kube.until(address("Deployment", SYSTEM_NAMESPACE, "ringfence-operator"), is_whole)
    until_quiet(audit, seconds=FIGURES)

    assert lasting(audit, mark) == []


def is_whole(found: dict[str, object] | None) -> bool:
    """True if both replicas are available."""
    status = (found or {}).get("status")
    return isinstance(status, dict) and status.get("availableReplicas") == 2
