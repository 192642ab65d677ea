"""What an MCP server offers, whatever the revision: methods by name, and who is told that a list has changed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog

from ringfence_sidecar.mcp.progress import Report
from ringfence_sidecar.mcp.protocol import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, ProtocolError

_log = structlog.get_logger()

Notify = Callable[[str, dict[str, Any]], Awaitable[None]]


class Era(StrEnum):
    """The two ways in which clients speak."""

    HANDSHAKE = "handshake"
    STATELESS = "stateless"


EVERY_ERA = frozenset(Era)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request of a client."""

    method: str
    params: Mapping[str, Any]
    era: Era
    version: str
    headers: Mapping[str, str]
    capabilities: Mapping[str, Any]
    """The client's."""
    notify: Notify
    """Sends a notification along with the answer."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """The request's `_meta`."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, Mapping) else {}

    @property
    def progress(self) -> Report | None:
        """Reports progress to the client; None if it did not ask for that."""
        token = self.meta.get("progressToken")
        if not isinstance(token, str | int):
            return None

        async def report(progress: float, message: str) -> None:
            params: dict[str, Any] = {"progressToken": token, "progress": progress}
            if message:
                params["message"] = message
            await self.notify("notifications/progress", params)

        return report

    def text(self, name: str) -> str:
        """Return a parameter that must be a string. Raises ProtocolError."""
        value = self.params.get(name)
        if not isinstance(value, str):
            raise ProtocolError(INVALID_PARAMS, f"params.{name} must be a string")
        return value


Handler = Callable[[Asked], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Method:
    """Serves the requests of one name."""

    handler: Handler
    eras: frozenset[Era] = EVERY_ERA
    is_cacheable: bool = False
    """Whether the protocol wants to be told how long the answer holds."""


@dataclass(slots=True, eq=False)
class Subscription:
    """A client that is told when lists change; changes that it has not been told of yet are told once."""

    kinds: frozenset[str]
    """`tools`, `resources`, `prompts`."""
    pending: dict[str, None] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    def end(self) -> None:
        """Say that nothing more will come."""
        self.is_over = True
        self.wake.set()

    def tell(self, kind: str) -> None:
        """Note a change."""
        if kind in self.kinds:
            self.pending[kind] = None
            self.wake.set()

    async def next(self) -> str | None:
        """Return the next kind of list that has changed, or None once the server ends."""
        while not self.pending:
            if self.is_over:
                return None
            self.wake.clear()
            await self.wake.wait()
        kind = next(iter(self.pending))
        del self.pending[kind]
        return kind


class Server:
    """A registry of methods. Tools, resources and whatever else put theirs in, and declare a capability."""

    def __init__(self, name: str, version: str, *, title: str = "", instructions: str = "") -> None:
        self.information = {"name": name, "version": version} | ({"title": title} if title else {})
        self.instructions = instructions
        self.capabilities: dict[str, dict[str, Any]] = {}
        self.methods: dict[str, Method] = {}
        self._subscriptions: set[Subscription] = set()

    def offer(self, capability: str, **details: Any) -> None:
        """Declare a capability."""
        self.capabilities[capability] = details

    def changed(self, kind: str) -> None:
        """Tell those who want to know that a list has changed: `tools`, `resources` or `prompts`."""
        for subscription in self._subscriptions:
            subscription.tell(kind)

    @property
    def lists(self) -> frozenset[str]:
        """The kinds of list whose changes are told."""
        return frozenset(name for name, details in self.capabilities.items() if details.get("listChanged"))

    def subscribe(self, kinds: frozenset[str]) -> Subscription:
        """Return a subscription, which must be ended."""
        subscription = Subscription(kinds & self.lists)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End all subscriptions, so that nobody who only listens keeps the process from stopping."""
        for subscription in self._subscriptions:
            subscription.end()

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._subscriptions.discard(subscription)

    def method(self, name: str, era: Era) -> Method:
        """Return what serves requests of that name. Raises ProtocolError if nothing does in that era."""
        found = self.methods.get(name)
        if found is None or era not in found.eras:
            raise ProtocolError(METHOD_NOT_FOUND, f"there is no method {name!r}")
        return found

    async def run(self, asked: Asked) -> dict[str, Any]:
        """Return the result of a request. Raises ProtocolError; whatever else went wrong stays in the log."""
        method = self.method(asked.method, asked.era)
        try:
            return await method.handler(asked)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - one request's failure is only its own
            _log.exception("mcp.failed", method=asked.method, error=type(error).__name__)
            raise ProtocolError(INTERNAL_ERROR, "something went wrong here; the sidecar's log says more") from None
