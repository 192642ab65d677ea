import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from ringfence_sidecar import serving
from ringfence_sidecar.asgi import Receive, Response, Scope, Send
from tests.ports import free_port

SECONDS = 10.0


async def _answer(_: Scope, __: Receive, send: Send) -> None:
    await Response(send).whole(200, b"{}")


@contextlib.asynccontextmanager
async def _listening(port: int) -> AsyncIterator[None]:
    server = serving.server_of(_answer, most_connections=8, stop_seconds=1)
    with contextlib.closing(serving.listen("127.0.0.1", port)) as made:
        task = asyncio.create_task(server.serve(sockets=[made]))
        yield
        server.should_exit = True
        await asyncio.wait_for(task, SECONDS)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_does_not_come_in_time_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.1)
    port = free_port()

    async with _listening(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        ended = await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()

    assert ended == b""


async def test_a_connection_may_stay_after_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.1)
    port = free_port()

    async with _listening(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n{}"), SECONDS)
            await asyncio.sleep(0.2)  # longer than a head may take
        writer.close()

    assert head.startswith(b"HTTP/1.1 200")


async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    port = free_port()

    async with _listening(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        for _ in range(3):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n{}"), SECONDS)
        writer.close()


async def test_one_connection_too_many_is_told_so_in_a_problem_document() -> None:
    port = free_port()

    async with _listening(port), contextlib.AsyncExitStack() as stack:
        for _ in range(9):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, _ = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)).partition(b"\r\n\r\n")
            is_refused = head.startswith(b"HTTP/1.1 503")
            body = await asyncio.wait_for(reader.read() if is_refused else reader.readexactly(2), SECONDS)

    problem = json.loads(body)
    assert b"application/problem+json" in head
    assert b"retry-after: 1" in head
    assert (problem["code"], problem["retryable"], problem["retryAfterSeconds"]) == ("TooManyConnections", True, 1)
    assert problem["errors"][0]["retryable"] is True
