"""HTTP servers on uvicorn, with bounds that it does not have itself."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import Server as UvicornServer

from ringfence_sidecar.asgi import App, HttpError, Receive, Response, Scope, Send
from ringfence_sidecar.correlation import correlate
from ringfence_sidecar.problem import of_error, refuse

LONGEST_HEAD: Final = 65_536
HEAD_SECONDS: Final = 10.0
_BACKLOG = 512


async def _overloaded(_: Scope, __: Receive, send: Send) -> None:
    """Answer in place of the application where there are too many connections."""
    said = "the sidecar has as many connections as it takes: reuse yours, and make fewer calls at once"
    found = of_error(HttpError(503, "TooManyConnections", said), correlate({}))
    again: dict[str, Any] = {"retryable": True, "retry_after_seconds": 1.0}
    errors = tuple(msgspec.structs.replace(each, **again) for each in found.errors)
    document = msgspec.structs.replace(found, errors=errors, **again)
    await refuse(Response(send), document, ((b"connection", b"close"),))


# Its own says so in plain text, which a client of JSON cannot read.
httptools_impl.service_unavailable = _overloaded  # type: ignore[assignment, attr-defined]


class BoundedProtocol(httptools_impl.HttpToolsProtocol):
    """Ends a connection whose request's head is longer than `LONGEST_HEAD`, or takes longer than `HEAD_SECONDS`."""

    _head = 0
    _begun = 0
    """Requests that have begun."""
    _is_in_head = False
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count a head's bytes; those that came with its first, and maybe with a body before it, are let through."""
        begun = self._begun
        super().data_received(data)
        if not self._is_in_head:
            self._arrived()
        elif self._begun != begun:
            # Only then: a head that is whole at once, as nearly all are, costs no timer.
            self._wait()
        else:
            self._head += len(data)
            if self._head > LONGEST_HEAD:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head, self._head = True, 0
        self._begun += 1

    def on_headers_complete(self) -> None:
        """End its head."""
        self._is_in_head = False
        super().on_headers_complete()

    def _wait(self) -> None:
        self._arrived()
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(UvicornServer):
    """One listener; signals are the process's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def server_of(app: App, *, most_connections: int, stop_seconds: int) -> Server:
    """Return a server of `app`. It answers 503 beyond `most_connections`."""
    config = Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=most_connections,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=stop_seconds,
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; no host means all addresses, of IPv6 too. Raises OSError."""
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)
