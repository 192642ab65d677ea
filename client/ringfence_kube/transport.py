"""The bare way to an API server: requests, and streams of lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes


class Channel(Protocol):
    """Messages both ways; all methods but `close` raise UnreachableError."""

    def receive(self) -> bytes | None:
        """Return the next message; None where the server has ended the connection."""

    def send(self, message: bytes) -> None:
        """Send a message."""

    def close(self) -> None:
        """End the connection, from any thread; who waits in `receive` is let go."""


class Transport(Protocol):
    """Sends requests by API path; all methods raise UnreachableError."""

    def send(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Answer:
        """Return the answer, whatever its status."""

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[bytes] | Answer:
        """Return the lines of a good answer as they come, without line feeds; else the answer."""

    def channel(self, path: str, query: Sequence[tuple[str, str]]) -> Channel | Answer:
        """Return a connection for messages, or the answer of a server that gives none."""
