import asyncio
from pathlib import Path

from ringfence_gateway.limits import read_limits
from tests.gateway.clients import SECONDS


async def answered(folder: Path, text: str) -> object:
    """Return what is read of an admin socket that answers with `text`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        writer.close()

    async with asyncio.timeout(SECONDS), await asyncio.start_unix_server(answer, folder / "admin.sock"):
        return await read_limits(folder / "admin.sock")


async def test_what_was_closed_is_told_by_block_and_limit_and_other_counters_are_not(tmp_path: Path) -> None:
    text = (
        "listener_local_ratelimit.p-00017.rate_limited: 5\n"
        "connection_limit.p-00018.limited_connections: 6\n"
        "connection_limit.p-00018.active_connections: 7\n"
        "cluster.control.ratelimit: 8\n"
    )

    assert await answered(tmp_path, text) == {(17, "new"): 5, (18, "open"): 6}


async def test_an_envoy_that_is_away_tells_nothing(tmp_path: Path) -> None:
    assert await read_limits(tmp_path / "admin.sock") is None
