"""What the tests of the RabbitMQ connector share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import aiormq
import pytest
from aiormq.abc import AbstractChannel

from tests.backends.certificates import Issued, issue
from tests.backends.rabbitmq_server import RabbitMQServer, running_rabbitmq
from tests.sidecar.connectors.rabbitmq.workbench import Bench


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return issue(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory, issued: Issued) -> Iterator[RabbitMQServer]:
    """One that all tests share; each uses names of its own."""
    with running_rabbitmq(tmp_path_factory.mktemp("broker"), tls=issued) as server:
        yield server


@pytest.fixture(scope="session")
def second_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    with running_rabbitmq(tmp_path_factory.mktemp("fragile")) as server:
        yield server


@pytest.fixture
def fragile(second_broker: RabbitMQServer) -> RabbitMQServer:
    """One that tests kill and freeze; it runs when a test begins."""
    if not second_broker.is_running:
        second_broker.start()
    return second_broker


@pytest.fixture
async def admin(broker: RabbitMQServer) -> AsyncIterator[AbstractChannel]:
    """A channel of the broker's owner."""
    async with aiormq.connect(broker.url()) as connection:
        yield await connection.channel()


@pytest.fixture
async def bench(broker: RabbitMQServer, tmp_path: Path) -> AsyncIterator[Bench]:
    """An agent that may do everything with names that begin with the test's own."""
    made = Bench(tmp_path, broker)
    yield made
    await made.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t{uuid4().hex[:10]}"
