"""What quotas leave of messages: a receipt is cut to it, a publication is made whole or not, leases are held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence_sidecar.configuration import HealthCheck
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.pipeline import Pipeline
from ringfence_sidecar.quota import Quota
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.rabbitmq.workbench import Bench, configuration, endpoint
from tests.sidecar.counters import Counters, budget
from tests.sidecar.plugin.bed import AGENT, Lines, call, serving
from tests.sidecar.quotas.pods import alone, limit

pytestmark = pytest.mark.backend


@asynccontextmanager
async def served(
    directory: Path, broker: RabbitMQServer, name: str, quota: Quota
) -> AsyncIterator[tuple[Pipeline, Lines]]:
    """The connector `events`, and a queue whose making no quota counts."""
    bench = Bench(directory, broker)
    await bench.call("declare", queue={"name": name})
    await bench.close()
    often = HealthCheck(interval_seconds=0.5, timeout_seconds=5)
    limits = {"timeoutSeconds": 20, "concurrency": 64}
    made = configuration(directory, None, endpoints=(endpoint(broker),), health_check=often, limits=limits)
    async with serving(made, quota=quota) as (pipeline, lines):
        yield pipeline, lines


async def ask(pipeline: Pipeline, operation: str, **arguments: Any) -> Envelope:
    return await pipeline.run(call(operation, arguments, connector="events"))


async def publish(pipeline: Pipeline, queue: str, *bodies: str) -> Envelope:
    messages = [{"exchange": "", "routingKey": queue, "payload": body} for body in bodies]
    return await ask(pipeline, "publish", messages=messages)


def handles(envelope: Envelope) -> list[str]:
    data = msgspec.json.decode(msgspec.json.encode(envelope.data))
    return [message["handle"] for message in data["messages"]]


def counted(quota: Counters) -> dict[str, float]:
    return {resource: amount for resource, amount in quota.used.items() if amount}


async def test_a_publication_is_made_as_a_whole_or_refused_and_costs_what_it_weighs(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    quota = Counters(budget("messagesPublished", 3), budget("messageBytes", 1000))

    async with served(tmp_path, broker, name, quota) as (pipeline, lines):
        first = await publish(pipeline, name, "a", "b")
        refused = await publish(pipeline, name, "c", "d")
        third = await publish(pipeline, name, "e")
        ready = await ask(pipeline, "inspect", queue=name)

        audited = await lines.calls(4)

    assert [each.status for each in (first, refused, third)] == [Status.OK, Status.LIMITED, Status.OK]
    assert msgspec.json.decode(msgspec.json.encode(ready.data))["ready"] == 3
    assert [line["used"].get("messagesPublished") for line in audited] == [2, None, 1, None]
    assert counted(quota) == {"messagesPublished": 3, "messageBytes": 9}


async def test_what_no_queue_takes_is_given_back(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    quota = Counters(budget("messagesPublished", 3), budget("messageBytes", 1000))

    async with served(tmp_path, broker, name, quota) as (pipeline, _):
        await publish(pipeline, f"{name}-nowhere", "a")

    assert counted(quota) == {}


async def test_a_receipt_is_cut_to_what_is_left_and_says_so(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    quota = Counters(budget("messagesReceived", 3), budget("messageBytes", 1000))

    async with served(tmp_path, broker, name, quota) as (pipeline, lines):
        quota.limited.pop("messageBytes")
        await publish(pipeline, name, *"abcde")
        quota.limited["messageBytes"] = budget("messageBytes", 1000)
        two = await ask(pipeline, "receive", queue=name, count=2)
        one = await ask(pipeline, "receive", queue=name, count=5)
        none = await ask(pipeline, "receive", queue=name, count=5)

        audited = await lines.calls(4)

    assert [len(handles(each)) for each in (two, one)] == [2, 1]
    assert [each.status for each in (two, one, none)] == [Status.OK, Status.PARTIAL, Status.LIMITED]
    assert [each.code for each in one.warnings] == ["QuotaCut"]
    assert [line["used"] for line in audited[1:]] == [
        {"messagesReceived": 2, "messageBytes": 6},
        {"messagesReceived": 1, "messageBytes": 3},
        {},
    ]


async def test_an_empty_queue_costs_nothing(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    quota = Counters(budget("messagesReceived", 3), budget("unackedLeases", 3), budget("messageBytes", 9))

    async with served(tmp_path, broker, name, quota) as (pipeline, _):
        envelope = await ask(pipeline, "receive", queue=name, count=3)

    assert envelope.status is Status.OK
    assert counted(quota) == {}


async def test_a_stream_hands_out_what_is_left_and_ends(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    quota = Counters(budget("messagesReceived", 3))

    async with served(tmp_path, broker, name, quota) as (pipeline, lines):
        await publish(pipeline, name, *"abcde")
        stream = pipeline.stream(call("receive", {"queue": name, "count": 2}, connector="events"))
        async with aclosing(stream):
            pieces = [piece async for piece in stream]

        [_, line] = await lines.calls(2)
        await eventually_ready(pipeline, name, 2)

    assert sum(len(handles(piece)) for piece in pieces[:-1]) == 3
    assert (pieces[-1].status, pieces[-1].errors[0].resource) == (Status.LIMITED, "messagesReceived")
    assert line["used"] == {"messagesReceived": 3}


async def eventually_ready(pipeline: Pipeline, queue: str, count: int) -> None:
    """Return once so many messages are ready."""
    async with asyncio.timeout(10):
        while True:
            envelope = await ask(pipeline, "inspect", queue=queue)
            if msgspec.json.decode(msgspec.json.encode(envelope.data))["ready"] == count:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("end", ["ack", "nack", "expiry", "loss"])
async def test_a_lease_is_held_until_it_ends_however_it_does(
    broker: RabbitMQServer, fragile: RabbitMQServer, tmp_path: Path, name: str, end: str
) -> None:
    quota = Counters(budget("unackedLeases", 2))

    async with served(tmp_path, fragile if end == "loss" else broker, name, quota) as (pipeline, _):
        await publish(pipeline, name, *"abc")
        seconds = 0.3 if end == "expiry" else 30
        first = await ask(pipeline, "receive", queue=name, count=3, leaseSeconds=seconds)
        while_held = quota.used["unackedLeases"]
        refused = await ask(pipeline, "receive", queue=name, count=1) if end != "expiry" else None
        if end in {"ack", "nack"}:
            await ask(pipeline, end, handles=handles(first))
        elif end == "loss":
            fragile.kill()
        await eventually(lambda: quota.used["unackedLeases"] == 0, what="the leases are given back")

    assert (first.status, len(handles(first))) == (Status.PARTIAL, 2)
    assert while_held == 2
    if refused is not None:
        assert (refused.status, refused.errors[0].resource) == (Status.LIMITED, "unackedLeases")


async def test_dead_letters_that_are_looked_at_are_leases_and_replaying_them_is_publishing(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    quota = Counters(budget("unackedLeases", 2), budget("messagesPublished", 10), budget("messagesReceived", 10))

    async with served(tmp_path, broker, name, quota) as (pipeline, _):
        quota.limited.pop("messagesPublished")
        await publish(pipeline, name, *"abc")
        quota.limited["messagesPublished"] = budget("messagesPublished", 10)
        looked = await ask(pipeline, "dead_letters_look", queue=name, count=3)
        held = quota.used["unackedLeases"]
        await ask(pipeline, "dead_letters_replay", handles=handles(looked), exchange="", routingKey=name)
        await eventually(lambda: quota.used["unackedLeases"] == 0, what="the leases are given back")

    assert (looked.status, held) == (Status.PARTIAL, 2)
    assert counted(quota) == {"messagesReceived": 2, "messagesPublished": 2}


async def test_a_message_gives_its_own_place_back_while_another_call_waits_for_some(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    quota = await alone(limit("unackedLeases", 10, window="None", shared=False))

    def held() -> float:
        return quota.known()[0].used

    async with served(tmp_path, broker, name, quota) as (pipeline, _):
        await ask(pipeline, "declare", queue={"name": f"{name}-other"})
        await publish(pipeline, f"{name}-other", *"abc")
        waiting = asyncio.create_task(ask(pipeline, "receive", queue=name, count=5, waitSeconds=15))
        await eventually(lambda: held() == 5, what="the one that waits has been granted its leases")
        received = await ask(pipeline, "receive", queue=f"{name}-other", count=3)
        before = held()
        await ask(pipeline, "ack", handles=handles(received))
        await eventually(lambda: held() == 5, what="the settled messages are given back")
        await publish(pipeline, name, "d")
        await ask(pipeline, "ack", handles=handles(await waiting))
        await eventually(lambda: held() == 0, what="nothing is held")

    assert before == 8


@pytest.mark.parametrize(
    "case",
    [
        ("publish", "messagesPublished", 1),
        ("publish", "messageBytes", 5),
        ("receive", "messagesReceived", 1),
        ("receive", "messageBytes", 3),
        ("receive", "unackedLeases", 1),
    ],
)
async def test_what_is_beyond_a_limit_of_messages_is_refused(
    broker: RabbitMQServer, tmp_path: Path, name: str, case: tuple[str, str, float]
) -> None:
    operation, resource, most = case
    quota = await alone()
    window = "None" if resource == "unackedLeases" else "Day"

    async def once(pipeline: Pipeline) -> Envelope:
        if operation == "publish":
            return await publish(pipeline, name, "a")
        return await ask(pipeline, "receive", queue=name)

    async with served(tmp_path, broker, name, quota) as (pipeline, _):
        await publish(pipeline, name, *"abc")
        await quota.apply([limit(resource, most, window=window, shared=False)], AGENT, None)
        first = await once(pipeline)
        second = await once(pipeline)
        ready = await ask(pipeline, "inspect", queue=name)

    assert (first.status, second.status) == (Status.OK, Status.LIMITED)
    assert (second.errors[0].resource, second.errors[0].limit) == (resource, most)
    # The three from before, and one more or one less.
    left = msgspec.json.decode(msgspec.json.encode(ready.data))["ready"]
    assert left == (4 if operation == "publish" else 2)
