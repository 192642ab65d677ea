import asyncio
import signal
from collections.abc import Iterator

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from ringfence_sidecar.audit.given import Given
from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.stream import NoStreamError, Stream
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.audit.verification import Verification
from ringfence_sidecar.configuration import AuditStream, Configuration
from tests.backends.rabbitmq_server import (
    VIRTUAL_HOST,
    WRITER,
    WRITER_PASSWORD,
    RabbitMQServer,
    running_rabbitmq,
)
from tests.backends.waiting import eventually
from tests.sidecar.audit.records import lines, record
from tests.sidecar.plugin.bed import AGENT

pytestmark = [pytest.mark.backend, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    with running_rabbitmq(tmp_path_factory.mktemp("broker")) as server:
        yield server


def telling(broker: RabbitMQServer, name: str, *, password: str = WRITER_PASSWORD, address: str = "127.0.0.1") -> Given:
    """What the operator gives to a sidecar whose lines go to a stream of the broker."""
    given = Given()
    tell(given, broker, name, password=password, address=address)
    return given


def tell(
    given: Given, broker: RabbitMQServer, name: str, *, password: str = WRITER_PASSWORD, address: str = "127.0.0.1"
) -> None:
    stream = AuditStream(
        address=address, port=broker.port, virtual_host=VIRTUAL_HOST, name=name, username=WRITER, password=password
    )
    given.apply(Configuration(version="1", agent=AGENT, audit_stream=stream))


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


async def test_lines_in_a_stream_are_kept_for_every_reader(broker: RabbitMQServer) -> None:
    exporter = Stream(telling(broker, "audit-1").stream)
    made = lines(300)

    await exporter.export(made)
    await exporter.close()

    assert await read(broker, "audit-1", 302) == made
    assert await read(broker, "audit-1", 302) == made


async def test_a_broker_that_is_restarted_loses_no_line(broker: RabbitMQServer) -> None:
    trail = Trail([Stream(telling(broker, "audit-2").stream)], Who())
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


async def test_a_wrong_password_keeps_the_lines_until_the_operator_gives_the_right_one(broker: RabbitMQServer) -> None:
    given = telling(broker, "audit-3", password="wrong")
    exporter = Stream(given.stream)
    made = lines(3)
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await exporter.export(made)

    tell(given, broker, "audit-3")
    await exporter.export(made)
    await exporter.close()

    assert await read(broker, "audit-3", 5) == made


async def test_lines_wait_until_the_operator_has_said_where_the_stream_is(broker: RabbitMQServer) -> None:
    given = Given()
    exporter = Stream(given.stream)
    made = lines(3)
    exporting = asyncio.create_task(exporter.export(made))
    await asyncio.sleep(0)
    waited = not exporting.done()

    tell(given, broker, "audit-4")
    await exporting
    await exporter.close()

    assert waited
    assert await read(broker, "audit-4", 5) == made


async def test_without_the_brokers_address_lines_are_not_taken_for_kept(broker: RabbitMQServer) -> None:
    with pytest.raises(NoStreamError):
        await Stream(telling(broker, "audit-5", address="").stream).export(lines(1))


async def test_where_the_operator_has_no_stream_any_longer_nothing_is_to_be_kept_there() -> None:
    given = Given()
    given.apply(Configuration(version="1", agent=AGENT))

    await Stream(given.stream).export(lines(1))


async def test_a_stream_that_somebody_has_declared_is_left_as_it_is(broker: RabbitMQServer) -> None:
    async with await aio_pika.connect(broker.url()) as connection:
        channel = await connection.channel()
        await channel.declare_queue("audit-6", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "7D"})
    exporter, made = Stream(telling(broker, "audit-6").stream), lines(2)

    await exporter.export(made)
    await exporter.close()

    assert await read(broker, "audit-6", 4) == made


async def test_who_writes_to_a_stream_need_not_be_able_to_read_it(broker: RabbitMQServer) -> None:
    exporter = Stream(telling(broker, "audit-7").stream)
    await exporter.export(lines(1))
    await exporter.close()

    async with await aio_pika.connect(broker.url(WRITER, WRITER_PASSWORD)) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        stream = await channel.declare_queue("audit-7", passive=True)

        async def take(_: aio_pika.abc.AbstractIncomingMessage) -> None: ...

        with pytest.raises(ChannelAccessRefused):
            await stream.consume(take, arguments={"x-stream-offset": "first"})
