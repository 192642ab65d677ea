"""Leases over a broker's death: none of before holds, and no message is under two."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ringfence_sidecar.errors import BackendLostError, CallError, LeaseLostError
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.rabbitmq.load import Holdings, Publishing, declare, restart
from tests.sidecar.connectors.rabbitmq.workbench import Bench

pytestmark = pytest.mark.backend


class _Agent:
    """Receives, works for a moment and acknowledges, for as long as it is let, whatever the broker does."""

    def __init__(self, name: str, bench: Bench, queue: str, holdings: Holdings) -> None:
        self.bench = bench
        self.received: set[object] = set()
        self.lost = 0
        self.stop = asyncio.Event()
        self._name = name
        self._queue = queue
        self._holdings = holdings

    async def run(self) -> None:
        while not self.stop.is_set():
            try:
                messages = await self.bench.take(self._queue, count=4, waitSeconds=0.2, leaseSeconds=120)
            except BackendLostError:
                await asyncio.sleep(0.05)
                continue
            for message in messages:
                self._holdings.take(self._name, message["payload"])
            self.received.update(message["payload"] for message in messages)
            for message in messages:
                await asyncio.sleep(0.002)
                await self._done(message)

    async def _done(self, message: Mapping[str, Any]) -> None:
        # It is out of these hands as soon as the broker may have it, and not before.
        self._holdings.give(message["payload"])
        try:
            await self.bench.call("ack", handles=[message["handle"]])
        except LeaseLostError:
            self.lost += 1
        except CallError as error:
            if not error.outcome_unknown:
                raise
        else:
            self._holdings.done[message["payload"]] += 1


async def _hold(bench: Bench, queue: str, count: int) -> list[Mapping[str, Any]]:
    """Receive so many messages, and keep them."""
    held: list[Mapping[str, Any]] = []
    async with asyncio.timeout(20):
        while len(held) < count:
            held += await bench.take(queue, count=count - len(held), waitSeconds=1, leaseSeconds=120)
    return held


async def test_no_message_is_under_two_leases_over_a_brokers_restart_and_none_that_was_confirmed_is_lost(
    fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    first, hoarder, *others = (Bench(tmp_path, fragile) for _ in range(5))
    await declare(first, fragile, name)
    load, holdings = Publishing(first, name), Holdings()
    publishing = [asyncio.create_task(load.run(worker)) for worker in range(2)]
    agents = [_Agent(f"agent {at}", bench, name, holdings) for at, bench in enumerate(others)]
    working = [asyncio.create_task(agent.run()) for agent in agents]
    old = await _hold(hoarder, name, 10)
    await eventually(lambda: len(holdings.done) >= 200, what="200 messages are done", seconds=30)

    await restart(fragile)

    # Whoever holds one of these now holds it alone: what the hoarder has had says nothing any more.
    again = {message["payload"] for message in old}
    await eventually(
        lambda: again <= set().union(*(agent.received for agent in agents)), what="they come again", seconds=60
    )
    new = await _hold(hoarder, name, 10)
    for message in old:
        with pytest.raises(LeaseLostError) as refused:
            await hoarder.call("ack", handles=[message["handle"]])
        assert not refused.value.outcome_unknown
    kept = [await hoarder.call("extend", handles=[message["handle"]], leaseSeconds=120) for message in new]
    await hoarder.call("ack", handles=[message["handle"] for message in new])
    holdings.done.update(message["payload"] for message in new)

    load.stop.set()
    await asyncio.gather(*publishing)
    await eventually(lambda: load.confirmed <= holdings.done.keys(), what="all that was confirmed is done", seconds=60)
    for agent in agents:
        agent.stop.set()
    await asyncio.gather(*working)
    assert len(kept) == len(new)
    assert holdings.clashes == []
    assert holdings.done.keys() <= load.confirmed | load.unknown
    for bench in (first, hoarder, *others):
        await bench.close()
