"""Where a result's rows come from: a large one comes in chunks, and only one of them is in memory at a time.

The driver's own way reads ahead: whatever is asked of it, two or three chunks are there at once, and Snowflake makes
them as large as 48 MB. Read one by one, what a result takes is one chunk, and none larger than is fit for a sidecar.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from ringfence_sidecar.connectors.snowflake.driver import load
from ringfence_sidecar.errors import UnknownError

LARGEST_CHUNK = 25_000_000
"""Bytes, unpacked: a larger one is not read."""
_SMALL_ROWS = 1_000
"""A result that is no larger is one chunk, or nearly: asking where the chunks are would cost more than it saves."""
Rows = Sequence[Sequence[Any]]


class Source(Protocol):
    """Rows, in their order."""

    @property
    def is_blocked(self) -> bool:
        """Whether the next rows are in a chunk that is too large to be read."""

    async def fetch(self, rows: int) -> Rows:
        """Return up to so many rows; none at the end, or if it is blocked. Raises what the driver raises."""


class Whole:
    """A small result, as the driver reads it."""

    is_blocked = False

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    async def fetch(self, rows: int) -> Rows:
        """See Source."""
        found: Rows = await self._cursor.fetchmany(rows)
        return found


class Chunked:
    """A large result, chunk by chunk."""

    def __init__(self, connection: Any, batches: list[Any]) -> None:
        self._connection = connection
        self._batches = batches[::-1]
        self._rows: Any = None

    @property
    def is_blocked(self) -> bool:
        """See Source."""
        return self._rows is None and bool(self._batches) and (self._batches[-1].uncompressed_size or 0) > LARGEST_CHUNK

    async def fetch(self, rows: int) -> Rows:
        """See Source."""
        while True:
            if self._rows is None:
                if not self._batches or self.is_blocked:
                    return ()
                self._rows = await self._open(self._batches.pop())
            found: Rows = await self._rows.fetch_many(rows)
            if found:
                return found
            self._rows = None

    async def _open(self, batch: Any) -> Any:
        if self._connection.is_closed():
            raise UnknownError("the session of the open result has ended: ask the query again")
        stream = await batch._take_arrow_stream_ptr(self._connection)  # noqa: SLF001 - see Driver.rows_of
        return load().rows_of(stream, context=batch._arrow_context)  # noqa: SLF001 - the same


async def source_of(cursor: Any, rows: int | None) -> Source:
    """Return where the `rows` (if known) of an executed cursor come from. Raises what the driver raises."""
    if rows is None or rows <= _SMALL_ROWS:
        return Whole(cursor)
    batches = await cursor.get_result_batches()
    return Chunked(cursor.connection, batches) if batches and len(batches) > 1 else Whole(cursor)
