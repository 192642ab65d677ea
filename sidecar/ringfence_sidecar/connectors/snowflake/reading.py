"""Reading a result: piece by piece, until its end or a cap. What is read is JSON at once, so it is small in memory."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ringfence_sidecar.connectors.snowflake.answers import Column, QueryAnswer
from ringfence_sidecar.connectors.snowflake.values import cleaners, encode_row, type_name
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import InvalidArgumentsError

_PIECE_ROWS = 500


class Reading:
    """A result on its way in. `cursor` is the driver's; rows come out in order and each once."""

    def __init__(self, cursor: Any, *, rows: int) -> None:
        self._cursor = cursor
        self._left = rows
        """Rows that may still be given, over all pages."""
        self._clean = cleaners(cursor.description or ())
        self._ahead: list[Sequence[Any]] = []
        self._exhausted = False
        self.columns = columns_of(cursor.description or ())
        self.query_id: str | None = cursor.sfqid

    async def page(self, rows: int, most_bytes: int) -> tuple[QueryAnswer, tuple[Notice, ...]]:
        """Return the next rows, at most so many and so many bytes, and what the caps cut.

        Raises InvalidArgumentsError if the first row alone is larger.
        """
        body, count, full, wanted = bytearray(b"["), 0, False, min(rows, self._left)
        while count < wanted and not full and await self._look_ahead(wanted - count):
            taken, full = self._take(body, wanted - count, most_bytes)
            count += taken
        if full and not count:
            raise InvalidArgumentsError(
                f"one row is larger than {most_bytes} bytes: select fewer or shorter columns", code="RowTooLarge"
            )
        self._left -= count
        body[-1:] = b"]" if count else b"[]"
        more = await self._look_ahead(1)
        warnings: tuple[Notice, ...] = (_bytes_cut(most_bytes),) if full else ()
        if more and not self._left:
            warnings += (_rows_cut(),)
        answer = QueryAnswer(columns=self.columns, rows=msgspec.Raw(body), row_count=count, more=more)
        return answer, warnings

    @property
    def can_go_on(self) -> bool:
        """Whether another page would have rows."""
        return bool(self._ahead) and self._left > 0

    def close(self) -> None:
        """Let go of what the driver holds."""
        self._ahead = []
        self._exhausted = True
        self._cursor.close()

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
        """Have rows at hand, if there are any."""
        if not self._ahead and not self._exhausted:
            # One more than is wanted tells whether there are more.
            self._ahead = await self._cursor.fetchmany(min(wanted + 1, _PIECE_ROWS))
            self._exhausted = not self._ahead
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
