"""Reading a result: piece by piece, until its end or a cap. What is read is JSON at once, so it is small in memory."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ringfence_sidecar.call import Context, Deadline
from ringfence_sidecar.connectors.snowflake.answers import Column, QueryAnswer
from ringfence_sidecar.connectors.snowflake.chunks import LARGEST_CHUNK, Source, source_of
from ringfence_sidecar.connectors.snowflake.session import failures
from ringfence_sidecar.connectors.snowflake.values import Cleaners, cleaners, encode_row, type_name
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import DeadlineError, InvalidArgumentsError, LimitedError

_FIRST_ROWS = 100
_PIECE_BYTES = 262_144
"""About so much JSON is made of what is taken from the driver at a time, once it shows how large rows are."""
_MOST_ROWS = 5_000
_MARGIN_SECONDS = 0.5
"""What is left of the call's time for the answer itself."""
_ROWS_CUT = Notice(
    "RowsCut",
    "the result has more rows than may be read, so the rest is not here: filter with WHERE, or aggregate",
)
_TIME_CUT = Notice(
    "TimeCut",
    "the call's time was over before all rows were read, so the rest is not here: give it longer, or ask for less",
)
_CHUNK_TOO_LARGE = Notice(
    "ChunkTooLarge",
    f"the next rows come in one piece of more than {LARGEST_CHUNK} bytes, so the rest is not here: ask for fewer rows "
    "or columns, or aggregate",
)


class Reading:
    """A result on its way in; rows come out in order and each once."""

    def __init__(self, cursor: Any, source: Source, *, total: int | None, rows: int, is_cap: bool) -> None:
        # The driver takes its time over each of its properties.
        description = cursor.description or ()
        self._cursor = cursor
        self._source = source
        self._left = rows
        """Rows that may still be given, over all pages."""
        self._is_cap = is_cap
        self._unread = total
        """Rows that have not been given yet, where Snowflake says how many there are."""
        self._clean = cleaners(description)
        self._ahead: list[Sequence[Any]] = []
        self._piece = _FIRST_ROWS
        self._spoilt = False
        self.columns = columns_of(description)
        self.query_id: str | None = cursor.sfqid

    @classmethod
    async def start(cls, cursor: Any, *, rows: int, is_cap: bool = True) -> "Reading":
        """Begin to read an executed cursor, up to so many rows. It is closed if that fails.

        If `rows` is no cap, but what the caller asked for, then no warning says that there are more.
        """
        try:
            with failures():
                said = cursor.rowcount
                total = said if isinstance(said, int) and said >= 0 else None
                return cls(cursor, await source_of(cursor, total), total=total, rows=rows, is_cap=is_cap)
        except BaseException:
            cursor.close()
            raise

    async def page(
        self, rows: int, most_bytes: int, deadline: Deadline, *, may_be_empty: bool = False
    ) -> tuple[QueryAnswer, tuple[Notice, ...]]:
        """Return the next rows, at most so many and so many bytes, and what the caps cut.

        Short of the deadline it returns what it has. Raises DeadlineError if that is nothing, InvalidArgumentsError if
        the first row alone is larger than `most_bytes`, unless it may be empty, and what a statement raises.
        """
        # Asking for what is not there would be one more turn of a thread.
        there = self._left if self._unread is None else min(self._left, self._unread)
        page = _Page(rows=min(rows, there), most_bytes=most_bytes)
        with failures():
            try:
                async with asyncio.timeout(deadline.remaining - min(_MARGIN_SECONDS, deadline.remaining / 10)):
                    while page.wants and await self._look_ahead(page.wants):
                        page.take(self._ahead, self._clean)
                        self._piece = page.rows_of(_PIECE_BYTES)
                    more = await self._has_more(page.count)
            except TimeoutError:
                # What the driver was reading is lost, so there is no going on.
                self._spoilt = more = True
                if not page.count:
                    raise DeadlineError("the call's deadline passed while rows were read: ask for less") from None
        if page.full and not page.count and not may_be_empty:
            raise InvalidArgumentsError(
                f"one row is larger than {most_bytes} bytes: select fewer or shorter columns", code="RowTooLarge"
            )
        self._left -= page.count
        if self._unread is not None:
            self._unread -= page.count
        answer = QueryAnswer(columns=self.columns, rows=page.json(), row_count=page.count, more=more)
        return answer, tuple(self._cuts(page, more=more))

    @property
    def can_go_on(self) -> bool:
        """Whether another page would have rows."""
        known = bool(self._ahead) or bool(self._unread)
        return known and self._left > 0 and not self._spoilt and not self._source.is_blocked

    def close(self) -> None:
        """Let go of what the driver holds: once the answer is on its way, for which it need not wait."""
        self._ahead, self._left = [], 0
        asyncio.get_running_loop().call_soon(self._cursor.close)

    def _cuts(self, page: "_Page", *, more: bool) -> Iterator[Notice]:
        if page.full:
            yield _bytes_cut(page.most_bytes)
        if self._spoilt:
            yield _TIME_CUT
        elif more and not self._left and self._is_cap:
            yield _ROWS_CUT
        elif self._source.is_blocked and not self._ahead:
            yield _CHUNK_TOO_LARGE

    async def _has_more(self, given: int) -> bool:
        """Return True if there are more rows; no chunk is read for it if Snowflake has said how many there are."""
        return self._unread > given if self._unread is not None else await self._look_ahead(1)

    async def _look_ahead(self, wanted: int) -> bool:
        """Have rows at hand, if there are any that can be read."""
        if not self._ahead:
            self._ahead = list(await self._source.fetch(min(wanted, self._piece)))
        return bool(self._ahead)


@dataclass
class _Page:
    """Rows as JSON, as long as there is room."""

    rows: int
    most_bytes: int
    count: int = 0
    full: bool = False
    """The next row has no room."""
    body: bytearray = field(default_factory=lambda: bytearray(b"["))

    @property
    def wants(self) -> int:
        """How many rows more there may be."""
        return 0 if self.full else self.rows - self.count

    def take(self, ahead: list[Sequence[Any]], clean: Cleaners) -> None:
        """Move rows here, each with a comma after it."""
        taken = 0
        for row in ahead[: self.wants]:
            encoded = encode_row(row, clean)
            if len(self.body) + len(encoded) + 1 > self.most_bytes:
                self.full = True
                break
            self.body += encoded
            self.body += b","
            taken += 1
        del ahead[:taken]
        self.count += taken

    def rows_of(self, size: int) -> int:
        """Return how many rows are about that many bytes, going by those that are here."""
        return max(1, min(_MOST_ROWS, size * self.count // len(self.body)))

    def json(self) -> msgspec.Raw:
        """Return the array; nothing can be added after."""
        self.body[-1:] = b"]" if self.count else b"[]"
        return msgspec.Raw(self.body)


async def page_of(
    reading: Reading, rows: int, most_bytes: int, context: Context, *, may_be_empty: bool = False
) -> tuple[QueryAnswer, tuple[Notice, ...]]:
    """Return the next page, cut besides to what quotas grant. Raises LimitedError where that is no whole row."""
    grants = context.grants
    given = grants.whole("rows", rows)
    try:
        size = grants.whole("bytesReturned", most_bytes)
        answer, warnings = await reading.page(given, size, context.deadline, may_be_empty=may_be_empty)
    except InvalidArgumentsError as error:
        if error.reason != "RowTooLarge" or not grants.is_short("bytesReturned"):
            raise
        raise LimitedError(f"{grants.said('bytesReturned')}, and one row is larger", rule="bytesReturned") from None
    cut = [_by_quota(each, context) for each in warnings]
    if grants.is_short("rows") and answer.more and answer.row_count >= given:
        cut.append(grants.notice("rows"))
    return answer, tuple(cut)


def _by_quota(notice: Notice, context: Context) -> Notice:
    """Return the quota's own notice where it was a quota that cut."""
    resource = {"BytesCut": "bytesReturned", "TimeCut": context.grants.timed_by}.get(notice.code, "")
    return context.grants.notice(resource) if context.grants.is_short(resource) else notice


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
