import asyncio
from pathlib import Path

import pytest

from ringfence_gateway.admin import is_envoy_live
from tests.gateway.clients import SECONDS


@pytest.mark.parametrize(
    ("answer", "is_live"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nLIVE\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nPRE_INITIALIZING\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nDRAINING\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nLIVE\n\r\n0\r\n\r\n", True),
        (b"LIVE", False),
        (b"", False),
    ],
)
async def test_envoy_is_asked_on_its_socket(tmp_path: Path, answer: bytes, is_live: bool) -> None:
    path = tmp_path / "admin.sock"
    asked = []

    async def admin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        for octet in answer:
            writer.write(bytes([octet]))
            await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(admin, path):
        found = await is_envoy_live(path, seconds=5.0)

    assert found is is_live
    assert asked == [b"GET /ready HTTP/1.1\r\n"]


async def test_an_envoy_that_is_not_there_or_says_nothing_is_not_live(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    before = await is_envoy_live(path)

    is_over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_unix_server(silent, path):
        then = await is_envoy_live(path, seconds=0.05)
        async with asyncio.timeout(SECONDS):
            await is_over.wait()

    assert (before, then) == (False, False)
