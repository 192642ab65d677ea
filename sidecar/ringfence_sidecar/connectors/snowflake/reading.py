"""Reading a result: piece by piece, until its end or a cap. What is read is JSON at once, so it is small in memory."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ringfence_sidecar.connectors.snowflake.answers import Column, QueryAnswer
from ringfence_sidecar.connectors.snowflake.chunks import LARGEST_CHUNK, Source, source_of
from ringfence_sidecar.connectors.snowflake.session import failures
from ringfence_sidecar.connectors.snowflake.values import cleaners, encode_row, type_name
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import InvalidArgumentsError

_PIECE_ROWS = 500
_CHUNK_TOO_LARGE = Notice(
    "ChunkTooLarge",
    f"the next rows come in one piece of more than {LARGEST_CHUNK} bytes, so the rest is not here: ask for fewer rows "
    "or columns, or aggregate",
)


class Reading:
    """A result on its way in; rows come out in order and each once."""

    def __init__(self, cursor: Any, source: Source, *, total: int | None, rows: int) -> None:
        # The driver takes its time over each of its properties.
        description = cursor.description or ()
        self._cursor = cursor
        self._source = source
        self._left = rows
        """Rows that may still be given, over all pages."""
        self._unread = total
        """Rows that have not been given yet, where Snowflake says how many there are."""
        self._clean = cleaners(description)
        self._ahead: list[Sequence[Any]] = []
        self.columns = columns_of(description)
        self.query_id: str | None = cursor.sfqid

    @classmethod
    async def start(cls, cursor: Any, *, rows: int) -> "Reading":
        """Begin to read an executed cursor. It is closed if that fails."""
        try:
            with failures():
                said = cursor.rowcount
                total = said if isinstance(said, int) and said >= 0 else None
                return cls(cursor, await source_of(cursor, total), total=total, rows=rows)
        except BaseException:
            cursor.close()
            raise

    async def page(self, rows: int, most_bytes: int) -> tuple[QueryAnswer, tuple[Notice, ...]]:
        """Return the next rows, at most so many and so many bytes, and what the caps cut.

        Raises InvalidArgumentsError if the first row alone is larger, and as a statement does.
        """
        body, count, full, wanted = bytearray(b"["), 0, False, min(rows, self._left)
        with failures():
            while count < wanted and not full and await self._look_ahead(wanted - count):
                taken, full = self._take(body, wanted - count, most_bytes)
                count += taken
            if full and not count:
                raise InvalidArgumentsError(
                    f"one row is larger than {most_bytes} bytes: select fewer or shorter columns", code="RowTooLarge"
                )
            self._count(count)
            more = await self._has_more()
        body[-1:] = b"]" if count else b"[]"
        answer = QueryAnswer(columns=self.columns, rows=msgspec.Raw(body), row_count=count, more=more)
        return answer, self._cuts(full=full, more=more, most_bytes=most_bytes)

    @property
    def can_go_on(self) -> bool:
        """Whether another page would have rows."""
        return self._left > 0 and not self._source.is_blocked and (bool(self._ahead) or bool(self._unread))

    def close(self) -> None:
        """Let go of what the driver holds."""
        self._ahead, self._left = [], 0
        self._cursor.close()

    def _cuts(self, *, full: bool, more: bool, most_bytes: int) -> tuple[Notice, ...]:
        cuts = [_bytes_cut(most_bytes)] if full else []
        if more and not self._left:
            cuts.append(_rows_cut())
        if self._source.is_blocked and not self._ahead:
            cuts.append(_CHUNK_TOO_LARGE)
        return tuple(cuts)

    def _count(self, given: int) -> None:
        self._left -= given
        if self._unread is not None:
            self._unread -= given

    async def _has_more(self) -> bool:
        """Return True if there are more rows; no chunk is read for it if Snowflake has said how many there are."""
        return self._unread > 0 if self._unread is not None else await self._look_ahead(1)

    def _take(self, body: bytearray, rows: int, most_bytes: int) -> tuple[int, bool]:
        """Move rows to `body`, each with a comma after it. Returns how many, and whether the next has no room."""
        taken = 0
        for row in self._ahead[:rows]:
            encoded = encode_row(row, self._clean)
            if len(body) + len(encoded) + 1 > most_bytes:
                break
            body += encoded
            body += b","
            taken += 1
        full = taken < min(rows, len(self._ahead))
        del self._ahead[:taken]
        return taken, full

    async def _look_ahead(self, wanted: int) -> bool:
        """Have rows at hand, if there are any that can be read."""
        if not self._ahead:
            self._ahead = list(await self._source.fetch(min(wanted, _PIECE_ROWS)))
        return bool(self._ahead)


def columns_of(description: Sequence[Any]) -> list[Column]:
    """Return a result's columns, as the driver describes them."""
    return [
        Column(
            name=column.name,
            type=type_name(column.type_code),
            nullable=column.is_nullable,
            precision=column.precision,
            scale=column.scale,
        )
        for column in description
    ]


def _bytes_cut(most: int) -> Notice:
    return Notice(
        "BytesCut",
        f"the rows are more than {most} bytes, so the rest is not here: ask for fewer columns or rows, aggregate, or "
        "give paged: true and go on with the handle",
    )


def _rows_cut() -> Notice:
    return Notice(
        "RowsCut",
        "the result has more rows than may be read, so the rest is not here: filter with WHERE, or aggregate",
    )
