"""`logs`: what an agent writes, and what its sidecar says of its calls."""

import json

import pytest

from ringfence_cli.audit import read_entry
from tests.cli.cluster import Cluster, condition
from tests.cli.test_explain import REFUSED, put

LOG = "/api/v1/namespaces/lab/pods/analyst/log"


def audit(**changes: object) -> bytes:
    return json.dumps({**REFUSED, **changes}, separators=(",", ":")).encode()


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """With an agent that has called three times."""
    put(cluster)
    allowed = audit(decision="allowed", operation="query", outcome="ok", rule="", code="", summary="SELECT …")
    cluster.logs[f"{LOG}?container=sidecar"] = [b"ready", allowed, audit(), audit(event="end"), allowed]
    cluster.logs[f"{LOG}?container=agent"] = [b"one", b"two"]
    return cluster


def test_an_agents_own_lines_come_as_they_are(busy: Cluster) -> None:
    assert busy.run("logs", "analyst", "--tail", "2", "--since", "1h30m").output == "one\ntwo\n"
    assert "tailLines=2&sinceSeconds=5400" in busy.asked[-1]


def test_an_audit_line_says_what_was_called_and_what_came_of_it(busy: Cluster) -> None:
    lines = busy.run("logs", "analyst", "--audit").output.splitlines()

    assert len(lines) == 4
    assert lines[1].split() == [
        *("2026-11-29T12:01:00.000Z", "refused", "sales.execute", "error", "1", "ms"),
        *("statements", "NOT_PERMITTED", "DELETE", "FROM", "orders"),
    ]


def test_refused_calls_can_be_had_alone(busy: Cluster) -> None:
    (line,) = busy.run("logs", "analyst", "--audit", "--refused").output.splitlines()

    assert "DELETE FROM orders" in line


def test_what_an_agent_says_cannot_move_the_cursor_of_who_reads_it(busy: Cluster) -> None:
    busy.logs[f"{LOG}?container=sidecar"] = [audit(summary='SELECT "\x1b[2K\rallowed"')]

    (line,) = busy.run("logs", "analyst", "--audit").output.splitlines()

    assert line.endswith('SELECT "\ufffd[2K\ufffdallowed"')


def test_programs_get_audit_lines_as_they_were_written(busy: Cluster) -> None:
    output = busy.run("logs", "analyst", "--audit", "-o", "json", "--tail", "1").stdout

    assert output.encode().rstrip() == busy.logs[f"{LOG}?container=sidecar"][-1]


def test_following_ends_with_the_agent(busy: Cluster) -> None:
    busy.logs[f"{LOG}?container=agent"] = [b"2026-11-29T12:00:00.000000001Z one", b"2026-11-29T12:00:00.000000002Z two"]
    agent = busy.items("/apis/ringfence.dev/v1alpha1/agents")[0]
    agent["status"]["conditions"].append(condition("Complete", "True", "Succeeded"))

    assert busy.run("logs", "analyst", "-f").output == "one\ntwo\n"


def test_an_agent_without_a_sidecar_has_no_audit(busy: Cluster) -> None:
    del busy.logs[f"{LOG}?container=sidecar"]

    assert "has no sidecar, and so no audit" in str(busy.run("logs", "analyst", "--audit").exception)


def test_an_agent_without_a_pod_has_no_log(cluster: Cluster) -> None:
    cluster.add("agents", "idle", {"image": "x"})

    assert "has no pod" in str(cluster.run("logs", "idle").exception)


@pytest.mark.parametrize("given", ["soon", "5", "1h x"])
def test_a_time_that_is_none_is_refused(busy: Cluster, given: str) -> None:
    result = busy.run("logs", "analyst", "--since", given)

    assert result.exit_code == 2
    assert "such as 90s" in result.output


@pytest.mark.parametrize("line", [b"", b"{}", b'{"audit":1,"event":"ca', b'{"audit":2,"event":"call"}'])
def test_what_is_no_audit_line_is_none(line: bytes) -> None:
    assert read_entry(line) is None
