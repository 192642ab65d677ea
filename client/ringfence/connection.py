"""A connection with the agent's sidecar."""

import os
from types import TracebackType
from typing import Any, Self

from ringfence.caching import KEEPS, Keeps
from ringfence.connector import Connector
from ringfence.consuming import Held
from ringfence.envelope import Envelope
from ringfence.errors import NotInAgentError
from ringfence.normalizing import normalize
from ringfence.rabbitmq import RabbitMQ
from ringfence.retry import Retry
from ringfence.snowflake import Snowflake
from ringfence.trace import Log, Span, log_json
from ringfence.transport import Transport
from ringfence.values import Cache

VARIABLE = "RINGFENCE_API_URL"
"""Set in every agent that has a sidecar."""
SECONDS = 60.0


def connect(
    url: str | None = None, *, timeout: float = SECONDS, retry: Retry | None = None, log: Log = log_json
) -> "Ringfence":
    """Return a connection with this agent's sidecar, for `async with`; in it, async functions are `cached` there, too.

    `timeout` is the time of each call in seconds, at most what its Connector permits; calls are made again only with a
    `retry`; `log` takes the lines of `trace`. Raises NotInAgentError where the environment names no sidecar.
    """
    found = url or os.environ.get(VARIABLE)
    if not found:
        raise NotInAgentError(
            f"{VARIABLE} is not set: this is no agent of Ringfence's, or one without connectors, values or quotas. "
            "Name a Connector in its spec.connectors, or give connect() the address of a sidecar"
        )
    return Ringfence(Transport(found.rstrip("/"), timeout=timeout, retry=retry), log=log)


class Ringfence:
    """What an agent may use. It ends with its `async with`; what is still held of queues goes back then."""

    def __init__(self, transport: Transport, *, log: Log = log_json) -> None:
        self._transport = transport
        self._log = log
        self._held: set[Held] = set()
        self._outer: Keeps | None = None
        self.cache = Cache(transport)
        """The agent's own values."""

    def snowflake(self, name: str) -> Snowflake:
        """Return the Connector of kind `snowflake` that has this name; nothing is asked yet."""
        return Snowflake(self._transport, name)

    def rabbitmq(self, name: str) -> RabbitMQ:
        """Return the Connector of kind `rabbitmq` that has this name; nothing is asked yet."""
        return RabbitMQ(self._transport, name, log=self._log, held=self._held)

    def connector(self, name: str) -> Connector:
        """Return a Connector of any kind, to call its operations by their names; nothing is asked yet."""
        return Connector(self._transport, name)

    def trace(self, operation: str, /, *, parent: str = "", **fields: Any) -> Span:
        """Return a span for `with`: calls within it are part of it, and one line is logged when it ends.

        `parent` is a `traceparent` that somebody sent; without one, it is the span around this one, if there is any.
        """
        return Span(operation, fields, parent=parent, log=self._log)

    def normalize(self, value: Any, *, message: str = "") -> Envelope:
        """Return an envelope of anything: see `ringfence.normalize`."""
        return normalize(value, message=message)

    async def __aenter__(self) -> Self:
        self._outer = KEEPS.get()
        KEEPS.set(self.cache)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        KEEPS.set(self._outer)
        await self.aclose()

    async def aclose(self) -> None:
        """Give back what is held of queues, and end all connections."""
        try:
            for held in tuple(self._held):
                await held.end()
        finally:
            await self._transport.aclose()
