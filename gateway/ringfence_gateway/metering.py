"""Keeps the meter running once there is something to count, gives it its orders, and sends on what it has counted."""

import asyncio
import contextlib
import json
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from ringfence_gateway.meter.history import GRAINS
from ringfence_gateway.meter.orders import Orders
from ringfence_gateway.meter_past import MeterPast
from ringfence_gateway.subscription import NotConnectedError, RefusedError

EVERY_SECONDS = 0.25
"""How often at most what was counted is sent."""
PAUSE_SECONDS = 0.5
"""Before a meter that ended is started again. Meanwhile Envoy finds nobody, and what is to be counted is closed."""
LONGEST_LINE = 4 << 20
MOST_IN_REPORT = 500
"""Agents in one message."""

Send = Callable[[bytes], Awaitable[None]]
_log = structlog.get_logger()


class Metering:
    """The meter beside this process; `send` takes what it has counted to the control process."""

    def __init__(self, replica: str, socket: Path, send: Send) -> None:
        self._replica = replica
        self._socket = socket
        self._send = send
        self.past = MeterPast()
        """What meters had counted that are gone; those of other replicas, too."""
        self._is_past_owed = False
        self._orders: dict[str, dict[str, Any]] = {}
        self._needed = asyncio.Event()
        self._news = asyncio.Event()
        self._unsent: dict[str, dict[str, Any]] = {}
        self._last_words: list[dict[str, Any]] = []
        """Reports of what meters had counted that ended before it was sent."""
        self._name = ""
        self._process: Process | None = None

    def put(self, name: str, value: bytes) -> None:
        """Take the orders for a pod. Raises ValueError."""
        if Orders.from_json(value).uid != name:
            raise ValueError(f"orders for another pod are in the resource {name}")
        self._orders[name] = json.loads(value)
        self._needed.set()
        self._tell({"put": self._orders[name]})

    def remove(self, name: str) -> None:
        """Forget a pod's."""
        if self._orders.pop(name, None) is not None:
            self._tell({"gone": name})

    def connected(self) -> None:
        """Have all of it told again: to a control process that may know nothing of it."""
        self._tell({"all": True})
        self._is_past_owed = True
        self._news.set()

    def kill(self) -> None:
        """End the meter, which is started again: what it held open is cut."""
        if self._process is not None:
            self._process.kill()

    async def run(self) -> None:
        """Run the meter, from the first orders on, until cancelled. Raises what ends a part of it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_forever())
            tasks.create_task(self._run_forever())

    async def _run_forever(self) -> None:
        await self._needed.wait()
        while True:
            await self._run_once()
            _log.error("the meter ended, and is started again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _run_once(self) -> None:
        self._keep_unsent()
        # Counts begin anew with each one, so it has a name of its own.
        self._name = f"{self._replica}/{secrets.token_hex(4)}"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "ringfence_gateway.meter", self._name, str(self._socket)),
            stdin=PIPE,
            stdout=PIPE,
            limit=LONGEST_LINE,
        )
        self._process = process
        _log.info("meter started", meter=self._name)
        try:
            for orders in self._orders.values():
                self._tell({"put": orders})
            if process.stdout is None:
                return
            while line := await process.stdout.readline():
                self._take(json.loads(line))
        finally:
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _tell(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _keep_unsent(self) -> None:
        """The meter has ended: what it had counted is told in its name all the same."""
        unsent, self._unsent = [{**each, "open": 0} for each in self._unsent.values()], {}
        self._last_words += [{"meter": self._name, "isPast": True, "agents": part} for part in _parts(unsent)]
        if self._last_words:
            self._news.set()

    def _take(self, agents: list[dict[str, Any]]) -> None:
        for each in agents:
            _merge(self._unsent, each)
        self._news.set()

    async def _send_forever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._send_all()
            await asyncio.sleep(EVERY_SECONDS)

    async def _send_all(self) -> None:
        if self._is_past_owed:
            await self._send_past()
        while self._last_words:
            if not await self._is_taken(self._last_words[0]):
                self._news.set()
                return
            del self._last_words[0]
        unsent, self._unsent = self._unsent, {}
        meter, parts = self._name, list(_parts(list(unsent.values())))
        for number, part in enumerate(parts):
            if not await self._is_taken({"meter": meter, "agents": part}):
                self._give_back(meter, [each for rest in parts[number:] for each in rest])
                return

    async def _send_past(self) -> None:
        self._is_past_owed = False
        for report in self.past.reports(most=MOST_IN_REPORT):
            if not await self._is_taken(report):
                self._is_past_owed = True
                self._news.set()
                return

    async def _is_taken(self, report: dict[str, Any]) -> bool:
        """Send the report; return False if it is to be sent again."""
        try:
            await self._send(json.dumps(report, separators=(",", ":")).encode())
        except NotConnectedError as error:
            _log.debug("counts not sent", reason=str(error))
            return False
        except RefusedError as error:
            _log.error("counts refused", reason=str(error))
        return True

    def _give_back(self, meter: str, agents: list[dict[str, Any]]) -> None:
        if meter != self._name:
            gone = [{**each, "open": 0} for each in agents]
            self._last_words += [{"meter": meter, "isPast": True, "agents": part} for part in _parts(gone)]
            self._news.set()
            return
        newer, self._unsent = self._unsent, {each["agent"]: each for each in agents}
        for each in newer.values():
            _merge(self._unsent, each)
        self._news.set()


def _parts(agents: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield as many at a time as one report may hold."""
    return (agents[first : first + MOST_IN_REPORT] for first in range(0, len(agents), MOST_IN_REPORT))


def _merge(unsent: dict[str, dict[str, Any]], fresh: dict[str, Any]) -> None:
    """Add what is newer; every figure is a total, so that none is lost or counted twice.

    Slots that count nowhere any more go: nobody takes a report that has more than there can be.
    """
    earlier = unsent.get(fresh["agent"])
    if earlier is not None:
        slots = {
            window: _newest({**earlier["slots"].get(window, {}), **found}, GRAINS[window].kept)
            for window, found in fresh["slots"].items()
        }
        fresh = {**fresh, "slots": {**earlier["slots"], **slots}}
    unsent[fresh["agent"]] = fresh


def _newest(slots: dict[str, int], kept: int) -> dict[str, int]:
    newest = max(map(int, slots), default=0)
    return {slot: count for slot, count in slots.items() if int(slot) > newest - kept}
