"""A Redis, and pods that share it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.backends.redis_server import RedisServer, running_redis
from tests.sidecar.cache.pods import Pods


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that is empty."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    """Makes the cache of one pod after another; all are closed at the end."""
    made = Pods()
    yield made
    await made.close()
