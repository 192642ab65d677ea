"""A sidecar with real back ends behind it, and connections with it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import ringfence
from tests.backends.rabbitmq_server import RabbitMQServer, running_rabbitmq
from tests.backends.redis_server import RedisServer, running_redis
from tests.backends.snowflake_server import SnowflakeServer, snowflake_process, snowflake_server
from tests.client.with_sidecar.sidecar import Sidecar, configuration, events, running_sidecar, warehouse

__all__ = ["snowflake_process", "snowflake_server"]


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t{uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    with running_rabbitmq(tmp_path_factory.mktemp("client-broker")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("client-redis")) as server:
        yield server


@pytest.fixture(scope="session")
def sidecar(
    tmp_path_factory: pytest.TempPathFactory,
    snowflake_process: SnowflakeServer,
    broker: RabbitMQServer,
    redis_server: RedisServer,
) -> Iterator[Sidecar]:
    """One with a warehouse, a broker and a Redis."""
    directory = tmp_path_factory.mktemp("client-sidecar")
    connectors = warehouse(directory / "warehouse", snowflake_process), events(directory / "events", broker)
    with running_sidecar(directory, configuration(*connectors, redis=redis_server.configuration())) as running:
        yield running


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Sidecar]:
    """One without connectors and without Redis."""
    with running_sidecar(tmp_path / "alone", configuration()) as running:
        yield running


@pytest.fixture(params=["sidecar", "alone"])
def either(request: pytest.FixtureRequest) -> Sidecar:
    """A sidecar with a Redis, then one without."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Sidecar)
    return found


@pytest.fixture
async def rf(sidecar: Sidecar, lines: list[Mapping[str, Any]]) -> AsyncIterator[ringfence.Ringfence]:
    """A connection with `sidecar`."""
    async with ringfence.connect(sidecar.url, log=lines.append) as connection:
        yield connection
