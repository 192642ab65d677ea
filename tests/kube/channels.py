"""Commands in a pod that answer from memory."""

import json
import threading

from ringfence_kube.errors import UnreachableError


def out(text: str) -> bytes:
    return b"\1" + text.encode()


def err(text: str) -> bytes:
    return b"\2" + text.encode()


def ended(code: int) -> bytes:
    """Return how the API server says that a command ended."""
    if code == 0:
        return b"\3" + json.dumps({"status": "Success"}).encode()
    cause = {"reason": "ExitCode", "message": str(code)}
    return b"\3" + json.dumps({"status": "Failure", "details": {"causes": [cause]}}).encode()


class Spoken:
    """Implements Channel: says its messages. Without an end among them it waits for `close`, or is cut."""

    def __init__(self, *messages: bytes, waits: bool = False, cut: bool = False) -> None:
        self._messages = iter(messages)
        self._waits = waits
        self._cut = cut
        self.closed = threading.Event()
        self.heard: list[bytes] = []

    def receive(self) -> bytes | None:
        if message := next(self._messages, None):
            return message
        if self._waits:
            assert self.closed.wait(30), "nobody has ended the command"
            raise UnreachableError("closed")
        if self._cut:
            raise UnreachableError("cut")
        return None

    def send(self, message: bytes) -> None:
        self.heard.append(message)

    def close(self) -> None:
        self.closed.set()
