"""A WebSocket on which nobody speaks any more."""

import pytest
import websocket

from ringfence_kube.channel import WebSocket
from ringfence_kube.errors import UnreachableError

SILENCE = websocket.WebSocketTimeoutException("timed out")
PONG = (websocket.ABNF.OPCODE_PONG, b"")
WORD = (websocket.ABNF.OPCODE_BINARY, b"\1word")
END = (websocket.ABNF.OPCODE_CLOSE, b"")


class Socket(websocket.WebSocket):
    """Receives what a test says; an exception is raised."""

    def __init__(self, *events: tuple[int, bytes] | Exception) -> None:
        self._events = iter(events)
        self.pings = 0

    def recv_data(self, control_frame: bool = False) -> tuple[int, bytes]:  # noqa: ARG002
        event = next(self._events)
        if isinstance(event, Exception):
            raise event
        return event

    def send(self, payload: bytes | str, opcode: int = websocket.ABNF.OPCODE_TEXT) -> int:
        self.pings += opcode == websocket.ABNF.OPCODE_PING
        return len(payload)


def test_a_silent_server_that_is_there_is_waited_for() -> None:
    socket = Socket(SILENCE, PONG, SILENCE, PONG, WORD)

    assert WebSocket(socket).receive() == b"\1word"
    assert socket.pings == 2


def test_a_server_that_gives_no_sign_of_life_is_gone() -> None:
    with pytest.raises(UnreachableError, match="silent"):
        WebSocket(Socket(SILENCE, SILENCE)).receive()


def test_the_end_of_a_connection_is_no_message() -> None:
    assert WebSocket(Socket(END)).receive() is None


@pytest.mark.parametrize("error", [OSError("reset"), websocket.WebSocketConnectionClosedException("closed")])
def test_a_connection_that_is_cut_is_an_error(error: Exception) -> None:
    with pytest.raises(UnreachableError, match="was cut"):
        WebSocket(Socket(error)).receive()
