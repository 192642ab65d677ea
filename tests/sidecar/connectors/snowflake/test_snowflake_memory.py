"""Large results stay small in the memory of the sidecar that answers them, whatever the surface."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.sidecar.process import Sidecar
from ringfence_sidecar.configuration import Configuration
from ringfence_sidecar.connectors.snowflake.session import Statement
from tests.sidecar.connectors.snowflake.bench import AGENT, Bench, configuration, context

pytestmark = [pytest.mark.backend, pytest.mark.timeout(400)]
MOST_MIB = 40
MILLION = "FROM TABLE(GENERATOR(ROWCOUNT => 1000000))"
SECONDS = 300
LIMITS = {
    "rows": 1_000_000,
    "bytes": 10_000_000,
    "timeoutSeconds": SECONDS,
    "statementTimeoutSeconds": SECONDS,
}
SURFACES = pytest.mark.parametrize("surface", ["rest", "mcp"])


def memory(pid: int, field: str) -> float:
    """Return a figure of a process's memory, in MiB."""
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) / 1024


def forget_the_peak(pid: int) -> None:
    """Begin anew to note the most memory that was taken (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def ask(sidecar: Sidecar, surface: str, sql: str) -> Any:
    """Return the envelope."""
    if surface == "rest":
        return (await sidecar.client.call("warehouse", "query", sql=sql)).envelope
    answer = await sidecar.client.tool("warehouse", "query", sql=sql)
    return answer.envelope["result"]["structuredContent"]


async def read(made: Configuration, directory: Path, surface: str, sql: str) -> tuple[Any, float]:
    """Return the envelope, and by how many MiB it has raised the memory of a sidecar that has answered before."""
    sidecar = Sidecar(Path(sys.executable), directory, made)
    sidecar.begin()
    try:
        await sidecar.ready()
        await sidecar.bound("warehouse")
        for _ in range(2):
            assert (await ask(sidecar, surface, "SELECT 1"))["status"] == "ok"
        before = memory(sidecar.pid, "VmRSS")
        forget_the_peak(sidecar.pid)
        envelope = await ask(sidecar, surface, sql)
        return envelope, memory(sidecar.pid, "VmHWM") - before
    finally:
        sidecar.end()


@pytest.fixture
def made(bench: Bench, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    monkeypatch.setattr("bench.sidecar.client._SECONDS", SECONDS)
    connector = configuration(bench.server.port, database, tmp_path, limits=LIMITS)
    return Configuration(version="1", agent=AGENT, connectors=(connector,))


async def create(bench: Bench, sql: str) -> None:
    (await bench.session.run(Statement(sql=sql, timeout_seconds=SECONDS), context(SECONDS))).close()


@SURFACES
async def test_a_million_rows_raise_memory_by_no_more_than_40_mib(
    bench: Bench, made: Configuration, tmp_path: Path, surface: str
) -> None:
    await create(bench, f"CREATE TABLE numbers AS SELECT SEQ4() AS n {MILLION}")

    envelope, raised = await read(made, tmp_path, surface, "SELECT n FROM numbers")

    assert (envelope["data"]["rowCount"], len(envelope["data"]["rows"])) == (1_000_000, 1_000_000)
    assert envelope["warnings"] == []
    assert raised <= MOST_MIB


@SURFACES
async def test_a_million_wide_rows_are_cut_at_the_byte_cap_within_40_mib(
    bench: Bench, made: Configuration, tmp_path: Path, surface: str
) -> None:
    columns = "SEQ4() AS n, 'customer number ' || SEQ4() AS name, SEQ4() * 1.5 AS amount, RPAD('x', 200, 'x') AS filler"
    await create(bench, f"CREATE TABLE orders AS SELECT {columns} {MILLION}")

    envelope, raised = await read(made, tmp_path, surface, "SELECT * FROM orders")

    assert [each["code"] for each in envelope["warnings"]] == ["BytesCut"]
    assert 9_000_000 < len(msgspec.json.encode(envelope["data"])) < 10_010_000
    assert raised <= MOST_MIB
