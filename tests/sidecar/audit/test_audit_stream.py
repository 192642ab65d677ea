import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.stream import Stream
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.audit.verification import Verification
from tests.backends.rabbitmq_server import PASSWORD, RabbitMQServer, running_rabbitmq
from tests.backends.waiting import eventually
from tests.sidecar.audit.records import lines, record

pytestmark = [pytest.mark.backend, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    with running_rabbitmq(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
def url(broker: RabbitMQServer, tmp_path: Path) -> Path:
    path = tmp_path / "url"
    path.write_text(broker.url() + "\n")
    return path


def rotate(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


async def read(broker: RabbitMQServer, queue: str, count: int) -> list[bytes]:
    """The stream's first messages, without taking them from anyone."""
    connection = await aio_pika.connect(broker.url())
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        stream = await channel.declare_queue(queue, durable=True, passive=True)
        found: list[bytes] = []

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            found.append(message.body)
            await message.ack()

        await stream.consume(take, arguments={"x-stream-offset": "first"})
        await eventually(lambda: len(found) >= count, what="the stream has the lines")
        return found


async def test_lines_in_a_stream_are_kept_for_every_reader(broker: RabbitMQServer, url: Path) -> None:
    exporter = Stream(url, "audit-1")
    made = lines(300)

    await exporter.export(made)
    await exporter.close()

    assert await read(broker, "audit-1", 302) == made
    assert await read(broker, "audit-1", 302) == made


async def test_a_broker_that_is_restarted_loses_no_line(broker: RabbitMQServer, url: Path) -> None:
    trail = Trail([Stream(url, "audit-2")], Who())
    trail.start()
    for number in range(20):
        (await trail.reserve()).write(record(request_id=f"before-{number}"))
    await eventually(lambda: trail.queued == 0, what="the lines are in the stream", seconds=30)

    # In order: the broker of Debian 12 (3.10) does not bring the stream of a single node back after a SIGKILL.
    await asyncio.to_thread(broker._end, signal.SIGTERM)
    for number in range(20):
        (await trail.reserve()).write(record(request_id=f"during-{number}"))
    await asyncio.to_thread(broker.start)
    await eventually(lambda: trail.queued == 0, what="the lines are in the stream", seconds=60)
    await trail.close()

    verification = Verification()
    verification.read(await read(broker, "audit-2", 42))
    [found] = verification.chains.values()
    assert found.last == 42
    assert found.ended


async def test_a_wrong_password_keeps_the_lines_until_the_secret_is_right(broker: RabbitMQServer, url: Path) -> None:
    rotate(url, PASSWORD, "wrong")
    exporter = Stream(url, "audit-3")
    made = lines(3)
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await exporter.export(made)

    rotate(url, "wrong", PASSWORD)
    await exporter.export(made)
    await exporter.close()

    assert await read(broker, "audit-3", 5) == made
