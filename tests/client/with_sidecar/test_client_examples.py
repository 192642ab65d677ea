"""The examples, run as programs in an agent would be."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence import Outgoing, sync
from tests.client.with_sidecar.sidecar import ROOT, Sidecar

pytestmark = pytest.mark.backend
EXAMPLES = ROOT / "examples/client"
TESTED = {"report.py", "export.py", "worker.py"}
TESTED_ON_A_CLUSTER = {"sandbox.py"}
"""In tests/e2e/client."""


@pytest.fixture
def rf(sidecar: Sidecar) -> Iterator[sync.Ringfence]:
    """A warehouse with three orders, and a broker with the queues of the examples, all empty."""
    with sync.connect(sidecar.url) as connection:
        events = connection.rabbitmq("events")
        dead = {"deadLetterExchange": "", "deadLetterRoutingKey": "dead-orders"}
        for queue in ({"name": "reports"}, {"name": "dead-orders"}, {"name": "orders", **dead}):
            events.call("declare", {"queue": queue})
        sales = connection.snowflake("sales")
        sales.execute("CREATE OR REPLACE TABLE orders (region VARCHAR, amount FLOAT)")
        rows = (("north", 1.0), ("south", 2.5), ("north", 3.0))
        sales.batch([("INSERT INTO orders VALUES (?, ?)", list(row)) for row in rows])
        connection.cache.invalidate_tag("orders")
        yield connection


def run(sidecar: Sidecar, example: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client"), "RINGFENCE_API_URL": sidecar.url}
    argv = [sys.executable, "-W", "error", str(EXAMPLES / example), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED | TESTED_ON_A_CLUSTER


def test_the_report_is_told_and_the_second_one_comes_from_the_cache(sidecar: Sidecar, rf: sync.Ringfence) -> None:
    before = len(sidecar.calls)

    first, second = run(sidecar, "report.py"), run(sidecar, "report.py")

    published = rf.rabbitmq("events").receive("reports", count=2, wait_seconds=5)
    rf.rabbitmq("events").ack(*published)
    last = rf.rabbitmq("events").call("inspect", {"queue": "reports"})
    sidecar.audited(last.metadata.request_id)
    asked = [each for each in sidecar.calls[before:] if each["operation"] == "query"]
    assert json.loads(first.stdout)["data"] == json.loads(second.stdout)["data"] == {"north": 4.0, "south": 2.5}
    assert [message.payload for message in published] == [{"north": 4.0, "south": 2.5}] * 2
    assert len(asked) == 2
    assert json.loads(first.stderr)["event"] == "report"


def test_the_export_has_every_row(sidecar: Sidecar, rf: sync.Ringfence, tmp_path: Path) -> None:
    run(sidecar, "export.py", str(tmp_path / "orders.csv"))

    assert (tmp_path / "orders.csv").read_text().splitlines() == ["north,1.0", "south,2.5", "north,3.0"]


def test_the_worker_writes_what_fits_and_puts_the_rest_aside(sidecar: Sidecar, rf: sync.Ringfence) -> None:
    events = rf.rabbitmq("events")
    good, bad = {"region": "west", "amount": 5}, {"region": "west"}
    events.publish_all([Outgoing(good, "orders"), Outgoing(bad, "orders"), Outgoing(good, "orders")])

    logged = run(sidecar, "worker.py").stderr

    (dead,) = events.receive("dead-orders", count=5, wait_seconds=5)
    events.ack(dead)
    total = rf.snowflake("sales").query("SELECT SUM(amount) FROM orders WHERE region = 'west'")
    assert (dead.payload, total.rows) == (bad, [[10.0]])
    assert [json.loads(line)["event"] for line in logged.splitlines()] == ["order"] * 3
