"""DNS over TCP on the event loop that the gateway runs on; what it does besides is tested with the responder."""

import asyncio
import socket

import uvloop

from ringfence_gateway.responder import bound_socket
from ringfence_gateway.stream import MOST_CONNECTIONS_OF_SOURCE, Streams
from tests.gateway.clients import SECONDS


async def _asked(times: int) -> list[bytes]:
    """Ask so many times, on a connection each, and cut the last one."""
    streams = Streams(lambda query, _: query.upper(), admits=lambda _: True)
    listener = bound_socket(socket.SOCK_STREAM, 0)
    port = listener.getsockname()[1]
    streams.open(listener)
    answers = []
    async with asyncio.timeout(SECONDS):
        for _ in range(times):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\0\5query")
            answers.append(await reader.readexactly(7))
            writer.close()
            await writer.wait_closed()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        streams.close()
        writer.close()
    return answers


def test_connections_are_answered_and_let_go_of_on_uvloop() -> None:
    times = 2 * MOST_CONNECTIONS_OF_SOURCE

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(_asked(times))

    assert answers == [b"\0\5QUERY"] * times
