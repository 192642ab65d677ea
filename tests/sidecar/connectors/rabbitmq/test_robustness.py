"""What is promised when brokers, channels and sidecars die. Real ones, really killed."""

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiormq
import pytest

from ringfence_sidecar.connectors.rabbitmq import RabbitMQ
from ringfence_sidecar.connectors.rabbitmq.running import Open
from ringfence_sidecar.errors import BackendLostError, CallError, LeaseLostError
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.waiting import eventually
from tests.conftest import ROOT
from tests.sidecar.connectors.rabbitmq.load import Holdings, Publishing, declare, restart
from tests.sidecar.connectors.rabbitmq.workbench import Bench, configuration, endpoint

pytestmark = pytest.mark.backend


async def _sent(bench: Bench, publishing: "asyncio.Task[Any]", count: int) -> None:
    """Wait until so many messages wait for the broker's answer."""
    sent = "publishes_under_way"
    await eventually(lambda: publishing.done() or bench.connector.metrics()[sent] == count, what="they are sent")
    assert not publishing.done(), publishing


async def _bodies(server: RabbitMQServer, queue: str) -> list[bytes]:
    """Take everything out of a queue, as its owner."""
    async with aiormq.connect(server.url()) as connection:
        channel = await connection.channel()
        bodies = []
        while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
            bodies.append(message.body)
        return bodies


async def test_broker_killed_under_load_loses_no_confirmed_message(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    load = Publishing(bench, name)
    workers = [asyncio.create_task(load.run(worker)) for worker in range(4)]
    await eventually(lambda: len(load.confirmed) >= 300, what="300 messages are confirmed", seconds=20)

    await restart(fragile)

    before = len(load.confirmed)
    await eventually(lambda: len(load.confirmed) >= before + 300, what="300 more are confirmed", seconds=20)
    load.stop.set()
    await asyncio.gather(*workers)
    await bench.close()
    there = Counter(body.decode().strip('"') for body in await _bodies(fragile, name))
    assert load.confirmed - there.keys() == set()
    assert there.keys() - load.confirmed - load.unknown == set()


async def test_broker_that_dies_takes_all_leases_with_it_and_hands_the_messages_out_again(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    await bench.publish(name, *range(10))
    held = [*await bench.take(name, count=5), *await bench.take(name, count=5)]

    await restart(fragile)

    with pytest.raises(LeaseLostError):
        await bench.call("ack", handles=[message["handle"] for message in held])
    again = await bench.take(name, count=20, waitSeconds=10)
    assert sorted(message["payload"] for message in again) == list(range(10))
    await bench.close()


async def test_acknowledged_message_does_not_come_again_with_a_broker_that_died_later(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    await bench.publish(name, "first")
    (message,) = await bench.take(name)
    await bench.call("ack", handles=[message["handle"]])
    # The queue's log is in order: what is confirmed after the acknowledgement is written after it.
    await bench.publish(name, "second")

    await restart(fragile)

    again = await bench.take(name, count=5, waitSeconds=10)
    assert [message["payload"] for message in again] == ["second"]
    await bench.close()


async def test_sidecar_that_dies_returns_what_it_held(
    bench: Bench, broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, *range(5))
    argv = [
        sys.executable,
        "-m",
        "tests.sidecar.connectors.rabbitmq.holder",
        str(tmp_path),
        str(broker.port),
        name,
        "5",
    ]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'sidecar'}:{ROOT / 'gateway'}"}
    holder = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, env=environment, cwd=ROOT)
    assert holder.stdout is not None
    async with asyncio.timeout(30):
        assert await holder.stdout.readline() == b"holding 5\n"
    assert await bench.take(name, count=5) == []

    holder.kill()
    await holder.wait()

    again: list[Any] = []
    async with asyncio.timeout(10):
        while len(again) < 5:
            again += await bench.take(name, count=5, waitSeconds=5)
    assert sorted(message["payload"] for message in again) == list(range(5))


async def _consume(bench: Bench, queue: str, who: str, holdings: Holdings, total: int) -> None:
    chance = random.Random(who)
    while len(holdings.done) < total:
        for message in await bench.take(queue, count=4, waitSeconds=0.2, leaseSeconds=30):
            number = message["payload"]
            holdings.take(who, number)
            await asyncio.sleep(chance.random() * 0.005)
            # It is out of these hands as soon as the broker may have it, and not before.
            holdings.give(number)
            if chance.random() < 0.3:
                await bench.call("nack", handles=[message["handle"]])
            else:
                await bench.call("ack", handles=[message["handle"]])
                holdings.done[number] += 1


async def test_no_message_is_in_two_hands(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    total = 200
    benches = [Bench(tmp_path, broker) for _ in range(3)]
    await benches[0].call("declare", queue={"name": name})
    for start in range(0, total, 100):
        await benches[0].publish(name, *range(start, start + 100))
    holdings = Holdings()

    async with asyncio.timeout(60):
        await asyncio.gather(*(_consume(bench, name, f"{at}", holdings, total) for at, bench in enumerate(benches)))

    assert holdings.clashes == []
    assert all(count == 1 for count in holdings.done.values())
    for bench in benches:
        await bench.close()


class _Elsewhere:
    """Two brokers, and the framework's rule: what may be tried again is tried on the other."""

    def __init__(self, directory: Path, first: RabbitMQServer, second: RabbitMQServer) -> None:
        endpoints = (endpoint(first, "first"), endpoint(second, "second"))
        self.connector = RabbitMQ(configuration(directory, None, endpoints=endpoints))
        self.sessions: dict[str, Open] = {}
        self._bench = Bench(directory, None, endpoints=endpoints)
        self._bench.connector = self.connector

    async def publish(self, queue: str, body: str) -> str:
        message = {"exchange": "", "routingKey": queue, "payload": body, "messageId": body}
        prepared, called = self._bench.prepare("publish", messages=[message])
        last: CallError | None = None
        for each in self.connector.configuration.endpoints:
            try:
                session = self.sessions.get(each.name)
                if session is None or not self.connector.is_usable(session):
                    session = self.sessions[each.name] = await self.connector.connect(each)
                outcome = await self.connector.execute(session, prepared, called)
            except BackendLostError as error:
                if prepared.effect != "idempotent" and error.outcome_unknown:
                    raise
                last = error
            else:
                return str(outcome.data.results[0].outcome)
        assert last is not None
        raise last

    async def close(self) -> None:
        for session in self.sessions.values():
            await self.connector.disconnect(session)


async def test_publishing_goes_on_at_another_broker(
    broker: RabbitMQServer, fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    for server in (fragile, broker):
        bench = Bench(tmp_path, server)
        await declare(bench, server, name)
        await bench.close()
    both = _Elsewhere(tmp_path, fragile, broker)
    confirmed: list[str] = []

    async def publish(worker: int) -> None:
        for number in range(100):
            body = f"{worker}-{number}"
            assert await both.publish(name, body) == "routed"
            confirmed.append(body)
            if len(confirmed) == 60:
                fragile.kill()

    async with asyncio.timeout(60):
        await asyncio.gather(*(publish(worker) for worker in range(4)))
    await both.close()
    await asyncio.to_thread(fragile.start)

    bodies = [*await _bodies(fragile, name), *await _bodies(broker, name)]
    there = {body.decode().strip('"') for body in bodies}
    assert len(confirmed) == 400
    assert set(confirmed) - there == set()


async def test_unconfirmed_message_without_an_id_is_told_as_unknown(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    await bench.publish(name, 0)
    fragile.freeze()
    publishing = asyncio.create_task(bench.publish(name, 1, 2))
    await _sent(bench, publishing, 2)

    fragile.kill()
    answer = await publishing

    assert [each["outcome"] for each in answer["results"]] == ["unknown", "unknown"]
    with pytest.raises(BackendLostError) as caught:
        await bench.publish(name, 3)
    assert not caught.value.outcome_unknown
    await bench.close()


async def test_unconfirmed_message_with_an_id_is_for_the_framework_to_try_elsewhere(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    await bench.publish(name, 0)
    fragile.freeze()
    publishing = asyncio.create_task(bench.publish(name, 1, messageId="m-1"))
    await _sent(bench, publishing, 1)

    fragile.kill()

    with pytest.raises(BackendLostError, match="same messageIds") as caught:
        await publishing
    assert caught.value.outcome_unknown
    await bench.close()


async def test_deadline_leaves_the_outcome_unknown_and_the_call_in_time(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    await bench.publish(name, 0)
    fragile.freeze()

    try:
        async with asyncio.timeout(3):
            answer = await bench.call(
                "publish", seconds=0.5, messages=[{"exchange": "", "routingKey": name, "payload": 1}]
            )
    finally:
        fragile.thaw()

    assert answer["unknown"] == 1
    assert (await bench.publish(name, 2))["routed"] == 1
    await bench.close()


async def test_broker_short_of_memory_takes_no_messages_and_gives_and_settles_them_all_the_same(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, fragile)
    await declare(bench, fragile, name)
    await bench.publish(name, 1, 2)
    await asyncio.to_thread(fragile.control, "set_vm_memory_high_watermark", "0")

    try:
        # The broker says so when it is first published to.
        first = await bench.call("publish", seconds=1, messages=[{"exchange": "", "routingKey": name, "payload": 3}])
        with pytest.raises(BackendLostError, match="takes no messages") as caught:
            await bench.publish(name, 4)
        taken = await bench.take(name, count=2)
        answer = await bench.call("ack", handles=[message["handle"] for message in taken])
    finally:
        await asyncio.to_thread(fragile.control, "set_vm_memory_high_watermark", "0.4")

    assert first["unknown"] == 1
    assert not caught.value.outcome_unknown
    assert answer["done"] == 2
    (late,) = await bench.take(name, waitSeconds=10)
    assert late["payload"] == 3
    await bench.close()
