"""Envoy's admin socket: what it says of itself."""

import asyncio
import contextlib
import io
import socket
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast

LIVE_SECONDS = 1.0


async def ask(admin: Path, path: str, *, seconds: float) -> str | None:
    """Return what Envoy answers to a GET of `path`, None if it does not answer 200 within that time."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(str(admin))
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n".encode())
                return _text(await reader.read())
            finally:
                writer.close()
    except (TimeoutError, OSError, HTTPException):
        return None


async def is_envoy_live(admin: Path, *, seconds: float = LIVE_SECONDS) -> bool:
    """Return True if Envoy says so: it serves what it was given."""
    return "LIVE" in (await ask(admin, "/ready", seconds=seconds) or "")


class _Received:
    """What has come, in place of the socket that http.client would read it from."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._answer)


def _text(answer: bytes) -> str | None:
    """Return the body of an answer of 200. Envoy sends some in chunks, and speaks no version that has none."""
    with contextlib.closing(HTTPResponse(cast("socket.socket", _Received(answer)))) as response:
        response.begin()
        return response.read().decode(errors="replace") if response.status == HTTPStatus.OK else None
