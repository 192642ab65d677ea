"""A connection with a broker: TLS by the broker's own name, and a watch over whether the broker is still there."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

import aio_pika
from aio_pika.exceptions import AMQPError
from aiormq.connection import TransportFactory
from aiormq.exceptions import ProbableAuthenticationError
from yarl import URL

from ringfence_sidecar.configuration import Auth, Endpoint
from ringfence_sidecar.connectors.dialling import trusting
from ringfence_sidecar.errors import BackendError, BackendLostError, CallError

HEARTBEAT = 10
"""Seconds. The broker gives a silent peer up after two to three times as long; see SILENCE."""
SILENCE = 1.4 * HEARTBEAT
"""Seconds without a byte after which the broker counts as gone.

It sends something at least once per heartbeat. Where nothing passes in either direction it closes the connection no
sooner than 1.5 heartbeats after the last byte that came here, and only then hands what was leased to others.
"""

_CLOSE = b"\x00\x0a\x00\x32"
"""Connection.Close, class 10, method 50; its code follows."""
_NOT_ALLOWED = 530

# The driver logs addresses and tracebacks; what matters comes to us as exceptions.
for _name in ("aio_pika", "aiormq", "pamqp"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class Credentials(NamedTuple):
    """How to log in."""

    user: str
    password: str


class _Reader(asyncio.StreamReader):
    """Tells at once when the peer is gone, before the driver has worked through what it still has to read."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        super().__init__(limit=2**17)
        self._on_lost = on_lost
        self._loop_time = asyncio.get_running_loop().time
        self.heard = self._loop_time()
        self.greeting: bytes | None = b""
        """What has come while the connection was being opened."""

    def feed_data(self, data: Any) -> None:
        self.heard = self._loop_time()
        if self.greeting is not None:
            self.greeting += bytes(data)
        super().feed_data(data)

    def feed_eof(self) -> None:
        super().feed_eof()
        self._on_lost()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._on_lost()


class _Transports(TransportFactory):
    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None, on_lost: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._context = context
        self._on_lost = on_lost
        self.reader: _Reader | None = None
        self.transport: asyncio.Transport | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # noqa: ARG002 - the driver's
        loop = asyncio.get_running_loop()
        reader = _Reader(self._on_lost)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(
            lambda: protocol,
            self._endpoint.address or self._endpoint.host,
            self._endpoint.address_port or self._endpoint.port,
            ssl=self._context,
            server_hostname=self._endpoint.host if self._context else None,
        )
        self.reader, self.transport = reader, transport
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def is_open(self) -> None:
        """Say that the connection is open."""
        if self.reader is not None:
            self.reader.greeting = None

    def closed_because(self) -> int:
        """Return the code with which the broker has closed the connection instead of opening it, or 0.

        The driver looks at it only where the login is concerned.
        """
        greeting = (self.reader.greeting or b"") if self.reader is not None else b""
        at = greeting.rfind(_CLOSE)
        return int.from_bytes(greeting[at + len(_CLOSE) :][:2], "big") if at >= 0 else 0


class Connection(aio_pika.Connection):
    """One connection; it does not come back by itself."""

    def __init__(self, url: URL, *, transports: _Transports, properties: dict[str, Any]) -> None:
        super().__init__(url, client_properties=properties)
        self.kwargs["transport_factory"] = transports
        self._transports = transports

    @property
    def silence(self) -> float:
        """Seconds since the broker's last byte."""
        reader = self._transports.reader
        return asyncio.get_running_loop().time() - reader.heard if reader else 0.0

    def abort(self) -> None:
        """Give the connection up without another word."""
        if self._transports.transport is not None:
            self._transports.transport.abort()


async def connect(
    endpoint: Endpoint, auth: Auth, *, name: str, seconds: float, on_lost: Callable[[], None]
) -> Connection:
    """Return a connection that is logged in; `on_lost` is called, at least once, when it is gone.

    Raises BackendLostError, or BackendError if the broker or the Secret does not let us in.
    """
    where = f"endpoint {endpoint.name}"
    credentials = _credentials(auth)
    transports = _Transports(endpoint, trusting(auth) if endpoint.tls else None, on_lost)
    url = URL.build(
        scheme="amqp",
        host=endpoint.host,
        port=endpoint.port,
        user=credentials.user,
        password=credentials.password,
        path="/" + str(endpoint.settings.get("virtualHost", "/")),
        query={"heartbeat": str(HEARTBEAT)},
    )
    connection = Connection(url, transports=transports, properties={"connection_name": name})
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()
    except (OSError, TimeoutError, AMQPError) as error:
        connection.abort()
        raise _connect_error(error, where, transports.closed_because()) from None
    except ValueError:
        connection.abort()
        raise BackendError(f"{where}: the driver takes no virtual host of that name", code="LoginRefused") from None
    except asyncio.CancelledError:
        connection.abort()
        raise
    transports.is_open()
    return connection


def _connect_error(error: BaseException, where: str, code: int) -> CallError:
    if isinstance(error, ProbableAuthenticationError):
        return BackendError(f"{where}: the broker refuses the Connector's user or password", code="LoginRefused")
    if code == _NOT_ALLOWED:
        return BackendError(
            f"{where}: the broker lets the Connector's user into no virtual host of that name", code="LoginRefused"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return BackendLostError(
            f"{where}: the broker's certificate is not to be trusted; set the Connector's authority"
        )
    if isinstance(error, TimeoutError):
        return BackendLostError(f"{where} was not reached in time")
    return BackendLostError(f"{where} cannot be reached ({type(error).__name__})")


def _credentials(auth: Auth) -> Credentials:
    """Return what the files say now. An empty one is refused: the driver would try `guest` instead."""
    if auth.method != "password":
        raise BackendError(f"RabbitMQ is logged in to by password, not by {auth.method}", code="LoginRefused")
    try:
        user = auth.settings.get("user") or _text(auth.read("username"))
        password = _text(auth.read("password"))
    except (OSError, KeyError, UnicodeDecodeError):
        raise BackendError(
            "the Connector's Secret has no readable username and password", code="LoginRefused"
        ) from None
    if not user or not password:
        raise BackendError("the Connector's Secret has an empty username or password", code="LoginRefused")
    return Credentials(str(user), password)


def _text(content: bytes) -> str:
    return content.decode().removesuffix("\n").removesuffix("\r")
