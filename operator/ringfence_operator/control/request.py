"""The little of HTTP/1.1 that sidecars speak (RFC 9112): a request with a body of known length, and its answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

LONGEST_HEAD = 16_384
LONGEST_BODY = 65_536


class BadRequestError(Exception):
    """Not a request that is served here; `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)

    @property
    def token(self) -> str:
        """The bearer token, or nothing."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


async def read_head(reader: asyncio.StreamReader) -> Request:
    """Return the next request. Raises BadRequestError; IncompleteReadError or OSError if the client is gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequestError(431, "the request's head is too long") from error
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":  # noqa: PLR2004 - method, target, version
        raise BadRequestError(400, "not a request of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or name.lower() in headers:
            raise BadRequestError(400, "a header has no form of one, or is there twice")
        headers[name.lower()] = value.strip()
    return Request(words[0], words[1], headers)


async def read_body(reader: asyncio.StreamReader, request: Request) -> bytes:
    """Return the request's body. Raises as `read_head` does."""
    text = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or not (text.isascii() and text.isdecimal()):
        raise BadRequestError(411, "a request says its length by Content-Length")
    if len(text) > len(str(LONGEST_BODY)) or int(text) > LONGEST_BODY:
        raise BadRequestError(413, f"a body has at most {LONGEST_BODY} bytes")
    return await reader.readexactly(int(text))


def answer(status: int, body: bytes = b"", *, closes: bool = False) -> bytes:
    """Return an answer with a JSON body, or none."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/json")
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        lines.append("Retry-After: 1")
    if closes:
        lines.append("Connection: close")
    lines.append("Cache-Control: no-store")
    # RFC 9110, 8.6: a 204 has no length.
    if status == HTTPStatus.NO_CONTENT:
        del lines[1]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def refusal(status: int, message: str) -> bytes:
    """Return an answer that says why not, after which the connection is closed."""
    return answer(status, orjson.dumps({"message": message}), closes=True)
