"""What the command line tells of an agent's calls."""

from pathlib import Path

from tests.e2e.cli.program import Program
from tests.e2e.connectors.backend import using
from tests.e2e.connectors.calls import do, filled, snowflake
from tests.e2e.world import World

FORBIDDEN = {"sql": "DELETE FROM orders"}


def test_a_refused_call_is_told_by_the_audit_and_explained(alone: World, kubeconfig: Path) -> None:
    sales = snowflake(alone)
    agent = using(alone, sales)
    agent.until_ready()
    filled(agent, sales)
    ringfence = Program(kubeconfig, alone.namespace)

    do(agent, sales, "query", {"sql": "SELECT COUNT(*) FROM orders"})
    do(agent, sales, "execute", FORBIDDEN)

    calls = ringfence.run("logs", agent.name, "--audit").out.splitlines()
    (refused,) = ringfence.run("logs", agent.name, "--audit", "--refused").out.splitlines()
    explained = ringfence.run("explain", agent.name, "-o", "json").document()
    assert any("allowed" in each and f"{sales}.query" in each for each in calls)
    assert f"{sales}.execute" in refused
    assert next(each["value"] for each in explained["denied_lately"]).startswith(f"{sales}.execute: ")
    assert "statements Select, Insert, CreateTable" in [each["value"] for each in explained["connectors"]]
