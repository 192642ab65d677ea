"""Results that stay open between calls, each by a handle that cannot be guessed, for a bounded time."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from ringfence_sidecar.connectors.snowflake.reading import Reading
from ringfence_sidecar.connectors.snowflake.session import Session
from ringfence_sidecar.errors import LimitedError, UnknownError


@dataclass(eq=False)
class _Open:
    reading: Reading
    session: Session
    timer: asyncio.TimerHandle


class Pages:
    """The open results of one Connector."""

    def __init__(self, *, most: int, seconds: float) -> None:
        self.most = most
        """How many there may be."""
        self.seconds = seconds
        """How long each stays open."""
        self._open: dict[str, _Open] = {}
        self._reserved = 0
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for a result that may be kept at the end of the block. Raises LimitedError if there is none."""
        if len(self._open) + self._reserved >= self.most:
            raise LimitedError(
                f"{self.most} results are open: read them to their end, or ask without paged",
                code="TooManyOpenResults",
                rule="limits.openResults",
                retry_after=self.seconds,
            )
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1

    def endpoint(self, handle: str) -> str:
        """Return the name of the endpoint where the result is. Raises UnknownError."""
        return self._get(handle).session.endpoint.name

    def take(self, handle: str) -> tuple[Reading, Session]:
        """Return the result, which nobody else can have then. Raises UnknownError."""
        found = self._get(handle)
        del self._open[handle]
        found.timer.cancel()
        return found.reading, found.session

    def keep(self, reading: Reading, session: Session) -> str:
        """Keep a result open, and return its handle: another one for each page, so that no page is read twice."""
        handle = secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self.seconds, self._expire, handle)
        self._open[handle] = _Open(reading, session, timer)
        return handle

    def _get(self, handle: str) -> _Open:
        found = self._open.get(handle)
        if found is None:
            raise UnknownError(
                f"no open result has this handle: it was read to its end, is older than {self.seconds:.0f} s, or its "
                "page has been read already; ask the query again",
                field="arguments.handle",
            )
        return found

    def _expire(self, handle: str) -> None:
        reading, session = self.take(handle)
        reading.close()
        task = asyncio.create_task(session.let_go())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
