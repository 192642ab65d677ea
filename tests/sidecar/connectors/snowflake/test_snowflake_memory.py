"""Large results stay small in memory."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringfence_sidecar.connectors.snowflake.session import Statement
from tests.backends.snowflake_server import ROOT
from tests.sidecar.connectors.snowflake.bench import Bench, context

pytestmark = pytest.mark.backend
MOST_MIB = 40
MILLION = "FROM TABLE(GENERATOR(ROWCOUNT => 1000000))"


async def read(bench: Bench, database: str, directory: Path, make: str, sql: str) -> dict[str, Any]:
    cursor = await bench.session.run(Statement(sql=make, timeout_seconds=60), context(60))
    cursor.close()
    arguments = (str(bench.server.port), database, str(directory), sql)
    return await asyncio.to_thread(in_a_process, arguments)


def in_a_process(arguments: tuple[str, ...]) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT / "sidecar"), str(ROOT)])
    argv = [sys.executable, "-m", "tests.sidecar.connectors.snowflake.large_result", *arguments]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=100, check=True
    )
    return dict(json.loads(done.stdout))


async def test_a_million_rows_raise_memory_by_no_more_than_40_mib(bench: Bench, database: str, tmp_path: Path) -> None:
    make = f"CREATE TABLE numbers AS SELECT SEQ4() AS n {MILLION}"

    took = await read(bench, database, tmp_path, make, "SELECT n FROM numbers")

    assert took["rows"] == 1_000_000
    assert took["warnings"] == []
    assert took["raised"] <= MOST_MIB, took


async def test_a_million_wide_rows_are_cut_at_the_byte_cap_within_40_mib(
    bench: Bench, database: str, tmp_path: Path
) -> None:
    columns = "SEQ4() AS n, 'customer number ' || SEQ4() AS name, SEQ4() * 1.5 AS amount, RPAD('x', 200, 'x') AS filler"
    make = f"CREATE TABLE orders AS SELECT {columns} {MILLION}"

    took = await read(bench, database, tmp_path, make, "SELECT * FROM orders")

    assert took["warnings"] == ["BytesCut"]
    assert 9_000_000 < took["bytes"] < 10_010_000
    assert took["raised"] <= MOST_MIB, took
