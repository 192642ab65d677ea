"""What the event loop says of a connection that is given up as its TLS handshake ends."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from ringfence_operator.egress.certificates import issue, new_authority
from ringfence_sidecar.loop import tell

BUSY_SECONDS = 0.02
MOST_TRIES = 300


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS."""
    now = datetime.now(UTC)
    pair = issue(new_authority(now), ["server"], now)
    (tmp_path / "pem").write_text(pair.certificate_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    return context


def trusting_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        connection, _ = listener.accept()
        with connection, context.wrap_socket(connection, server_side=True) as spoken:
            spoken.recv(1)


async def give_up(address: tuple[str, int]) -> None:
    """Connect on a busy loop, and give the connection up as its handshake ends.

    Now and then that is before whoever waits for it has heard that TCP is connected, and then uvloop says so.
    """
    loop = asyncio.get_running_loop()

    class GivenUp(asyncio.Protocol):
        def connection_made(self, _: asyncio.BaseTransport) -> None:
            connecting.cancel()

    def be_busy() -> None:
        time.sleep(BUSY_SECONDS)
        if not connecting.done():
            loop.call_soon(be_busy)

    loop.call_soon(be_busy)
    connecting = asyncio.ensure_future(loop.create_connection(GivenUp, *address, ssl=trusting_anybody()))
    await asyncio.wait({connecting}, timeout=10)
    await asyncio.sleep(0)


def test_a_connection_that_is_given_up_as_its_handshake_ends_is_no_error(
    server: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        said.append(repr(context["exception"]))
        tell(loop, context)

    async def main(listener: socket.socket) -> None:
        asyncio.get_running_loop().set_exception_handler(handler)
        for _ in range(MOST_TRIES):
            peer = threading.Thread(target=shake_hands, args=(listener, server))
            peer.start()
            await give_up(listener.getsockname())
            await asyncio.to_thread(peer.join, 10)
            if said:
                return

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        caplog.at_level(logging.ERROR, "asyncio"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(main(listener))

    assert "the handler is closed" in " ".join(said), "uvloop says it no longer: leave the handler out"
    assert caplog.records == []


def test_anything_else_is_said_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    try:
        with caplog.at_level(logging.ERROR, "asyncio"):
            tell(loop, {"message": "a task was lost", "exception": RuntimeError("the handler is closed")})
            tell(loop, {"message": "no exception"})
    finally:
        loop.close()

    assert [each.message.partition("\n")[0] for each in caplog.records] == ["a task was lost", "no exception"]
