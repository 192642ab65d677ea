"""A Redis that keeps what it is told, and pods that count in it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.backends.redis_server import RedisServer, running_redis
from tests.sidecar.quotas.pods import Pods


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that is empty, and that has after a restart what it had."""
    with running_redis(tmp_path, "appendonly yes", "appendfsync always") as server:
        yield server


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    """Makes pods; all are closed at the end."""
    made = Pods()
    yield made
    await made.close()
