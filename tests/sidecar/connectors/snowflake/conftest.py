"""What the tests of the connector share."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence_sidecar.connectors.snowflake import Snowflake
from tests.backends.snowflake_server import SnowflakeServer, snowflake_process, snowflake_server
from tests.sidecar.connectors.snowflake.bench import Bench, configuration

__all__ = ["snowflake_process", "snowflake_server"]
_numbers = itertools.count(1)


@pytest.fixture
def database() -> str:
    """A database of the test's own."""
    return f"TEST{next(_numbers)}"


@pytest.fixture
async def bench(snowflake_server: SnowflakeServer, database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A connector that may do much in the test's database, and a session of it."""
    made = configuration(snowflake_server.port, database, tmp_path)
    bench = await Bench.start(Snowflake(made), snowflake_server)
    yield bench
    await bench.stop()
