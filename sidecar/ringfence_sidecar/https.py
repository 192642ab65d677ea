"""HTTPS as the control channel needs it: one connection, kept; one request at a time; answers of known length."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

LONGEST_HEAD = 16_384
LONGEST_BODY = 8_388_608
CONNECT_SECONDS = 5.0


class HttpError(OSError):
    """The other end does not speak HTTP/1.1 as it should (RFC 9112)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered; `retry_after` is in seconds, 0 if nothing was said of it."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float = 0.0


class Channel:
    """A connection to one server, made when it is needed. Errors are OSErrors; after one it is closed."""

    def __init__(self, host: str, port: int, *, server_name: str) -> None:
        self._host = host
        self._port = port
        self._server_name = server_name
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def is_open(self) -> bool:
        """True if there is a connection."""
        return self._streams is not None

    async def connect(self, authority: bytes) -> None:
        """Connect to the server, whose certificate comes from `authority` (PEM). Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(cadata=authority.decode("ascii"))
        except ValueError as error:
            raise HttpError(f"the authority's file holds no PEM: {error}") from error
        async with asyncio.timeout(CONNECT_SECONDS):
            self._streams = await asyncio.open_connection(
                self._host, self._port, ssl=context, server_hostname=self._server_name, limit=LONGEST_HEAD
            )

    async def post(self, path: str, body: bytes, *, token: str, seconds: float) -> Answer:
        """Return the answer to a POST of JSON, which may take so many seconds. Raises OSError."""
        if self._streams is None:
            raise HttpError("there is no connection")
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._server_name}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        is_kept = False
        try:
            async with asyncio.timeout(seconds):
                writer.write(head.encode("ascii") + body)
                await writer.drain()
                answer, is_kept = await _answer(reader)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise HttpError("the answer is not whole, or its head is too long") from error
        finally:
            if not is_kept:
                self.close()
        return answer

    def close(self) -> None:
        """Close the connection, if there is one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            with suppress(OSError):
                streams[1].transport.abort()


async def _answer(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """Return the answer, and whether the connection is good for another request."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version != "HTTP/1.1" or not (code.isascii() and code.isdecimal()):
        raise HttpError("the answer is not one of HTTP/1.1")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = "0" if code == "204" else headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()) or int(length) > LONGEST_BODY:
        raise HttpError("the answer does not say its length, or is too long")
    after = headers.get("retry-after", "")
    seconds = float(after) if after.isascii() and after.isdecimal() else 0.0
    answer = Answer(int(code), await reader.readexactly(int(length)), seconds)
    return answer, headers.get("connection", "").lower() != "close"
