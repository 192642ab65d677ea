"""One operator's way to the API server: it breaks at any request, and what was sent may still arrive, or later."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ringfence_operator.errors import KubeError, UnavailableError
from tests.operator.reconcile.api_server import CrashError, FakeApiServer

Raw = dict[str, Any]
Call = Callable[[], Awaitable[Raw]]


class Lands(Enum):
    """What becomes of a request whose answer nobody gets."""

    NEVER = "never"
    AT_ONCE = "at once"
    LATE = "late"


@dataclass(slots=True)
class Fault:
    """After `calls` more requests one is not answered: the operator is killed there, or told that nobody answers."""

    calls: int
    lands: Lands
    is_kill: bool


class Wire:
    """Implements the port `Kube`. Once its operator is killed, no pass of it goes on."""

    def __init__(self, api: FakeApiServer, in_flight: list[Call]) -> None:
        self.fault: Fault | None = None
        self.down = 0
        """How many more requests nobody answers: an API server that is away."""
        self.is_dead = False
        self._api = api
        self._in_flight = in_flight

    async def get(self, path: str) -> Raw:
        return await self._send(lambda: self._api.get(path))

    async def create(self, path: str, body: Raw) -> Raw:
        return await self._send(lambda: self._api.create(path, body), is_write=True)

    async def replace(self, path: str, body: Raw) -> Raw:
        return await self._send(lambda: self._api.replace(path, body), is_write=True)

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        return await self._send(lambda: self._api.merge_patch(path, body), is_write=True)

    async def strategic_patch(self, path: str, body: Raw) -> Raw:
        return await self._send(lambda: self._api.strategic_patch(path, body), is_write=True)

    async def delete(self, path: str, **preconditions: Any) -> Raw:
        return await self._send(lambda: self._api.delete(path, **preconditions), is_write=True)

    async def _send(self, call: Call, *, is_write: bool = False) -> Raw:
        if self.is_dead:
            raise CrashError
        if self.down:
            self.down -= 1
            raise UnavailableError("connection refused")
        if self.fault is not None:
            self.fault.calls -= 1
            if self.fault.calls < 0:
                await self._break(self.fault, call, is_write=is_write)
        answer = await call()
        if self.is_dead:
            raise CrashError
        return answer

    async def _break(self, fault: Fault, call: Call, *, is_write: bool) -> None:
        self.fault = None
        self.is_dead = fault.is_kill
        if fault.lands is Lands.AT_ONCE:
            with suppress(KubeError):
                await call()
        elif fault.lands is Lands.LATE and is_write:
            self._in_flight.append(call)
        raise CrashError if fault.is_kill else UnavailableError("connection lost")
