"""Keeps the meter running once there is something to count, gives it its orders, and sends on what it has counted."""

import asyncio
import contextlib
import json
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from ringfence_gateway.meter.orders import Orders
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
        self._orders: dict[str, dict[str, Any]] = {}
        self._needed = asyncio.Event()
        self._news = asyncio.Event()
        self._unsent: dict[str, dict[str, Any]] = {}
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

    def kill(self) -> None:
        """End the meter, which is started again: what it held open is cut."""
        if self._process is not None:
            self._process.kill()

    async def run(self) -> None:
        """Run the meter, from the first orders on, until cancelled. Raises what ends a part of it."""
        await self._needed.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_forever())
            tasks.create_task(self._run_forever())

    async def _run_forever(self) -> None:
        while True:
            await self._run_once()
            _log.error("the meter ended, and is started again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _run_once(self) -> None:
        # Counts begin anew with each one, so it has a name of its own.
        self._name = f"{self._replica}/{secrets.token_hex(4)}"
        self._unsent.clear()
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
        unsent, self._unsent = self._unsent, {}
        meter, agents = self._name, list(unsent.values())
        for first in range(0, len(agents), MOST_IN_REPORT):
            part = agents[first : first + MOST_IN_REPORT]
            try:
                await self._send(json.dumps({"meter": meter, "agents": part}, separators=(",", ":")).encode())
            except NotConnectedError as error:
                _log.debug("counts not sent", reason=str(error))
                self._give_back(meter, agents[first:])
                return
            except RefusedError as error:
                _log.error("counts refused", reason=str(error))

    def _give_back(self, meter: str, agents: list[dict[str, Any]]) -> None:
        if meter != self._name:
            return
        newer, self._unsent = self._unsent, {each["agent"]: each for each in agents}
        for each in newer.values():
            _merge(self._unsent, each)
        self._news.set()


def _merge(unsent: dict[str, dict[str, Any]], fresh: dict[str, Any]) -> None:
    """Add what is newer; every figure is a total, so that none is lost or counted twice."""
    earlier = unsent.get(fresh["agent"])
    if earlier is not None:
        slots = {window: {**earlier["slots"].get(window, {}), **found} for window, found in fresh["slots"].items()}
        fresh = {**fresh, "slots": {**earlier["slots"], **slots}}
    unsent[fresh["agent"]] = fresh
