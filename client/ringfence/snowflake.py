"""A warehouse."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.connector import Connector, given
from ringfence.envelope import Envelope

Scalar = str | int | float | bool | None
Binds = Sequence[Scalar] | Mapping[str, Scalar]
"""Values for each `?` in their order, or by name for `:name`."""
Statement = str | tuple[str, Binds]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result."""

    name: str
    type: str
    nullable: bool | None = None
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Rows, each a list in the order of `columns`. Iterating over it gives each row as a dictionary."""

    columns: tuple[Column, ...]
    rows: list[list[Any]]
    more: bool
    """Whether the result has rows that are not here: `envelope.warnings` say what cut it, unless it was your limit."""
    envelope: Envelope

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = [column.name for column in self.columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_cached(self) -> bool:
        """Whether it is a kept answer."""
        cache = self.envelope.metadata.cache
        return cache is not None and cache.hit


@dataclass(frozen=True, slots=True)
class Executed:
    """What a statement did that changes something."""

    statement: str
    """Its kind, such as `Insert`."""
    rows_affected: int | None
    message: str
    """Snowflake's own word, of statements that count no rows."""
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Batched:
    """What one statement of a batch did; rows are those of a SELECT."""

    statement: str
    query_id: str
    rows_affected: int | None
    columns: tuple[Column, ...]
    rows: list[list[Any]]


class Snowflake(Connector):
    """A Connector of kind `snowflake`."""

    async def query(
        self,
        sql: str,
        binds: Binds | None = None,
        *,
        limit: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
        fresh: bool = False,
    ) -> Result:
        """Return the rows of one SELECT, SHOW, DESCRIBE or EXPLAIN, as many as fit one answer; see `pages` for more.

        Raises CallError, UnreachableError.
        """
        asked = given(sql=sql, binds=binds, limit=limit)
        return _result(await self.call("query", asked, timeout=timeout, fresh=fresh))

    async def pages(
        self,
        sql: str,
        binds: Binds | None = None,
        *,
        limit: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of each page
    ) -> AsyncIterator[Result]:
        """Yield a result page by page, of up to `limit` rows each; the warehouse is asked once.

        One that is left before its end stays open in the sidecar for a time, and counts among those that may be.
        """
        asked = given(sql=sql, binds=binds, limit=limit, paged=True)
        while True:
            page = _result(await self.call("query", asked, timeout=timeout))
            yield page
            handle = page.envelope.metadata.details.get("page", {}).get("handle")
            if not handle:
                return
            asked = given(handle=handle, limit=limit)

    async def execute(
        self,
        sql: str,
        binds: Binds | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
    ) -> Executed:
        """Run one statement that changes something. Raises CallError, UnreachableError."""
        envelope = await self.call("execute", given(sql=sql, binds=binds), timeout=timeout)
        data = envelope.data
        return Executed(data["statement"], data["rowsAffected"], data.get("message", ""), envelope)

    async def batch(
        self,
        statements: Sequence[Statement],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
    ) -> tuple[Batched, ...]:
        """Run statements in one transaction: all of them, or none. Raises CallError, UnreachableError."""
        asked = [given(sql=each) if isinstance(each, str) else given(sql=each[0], binds=each[1]) for each in statements]
        envelope = await self.call("batch", {"statements": asked}, timeout=timeout)
        return tuple(_batched(each) for each in envelope.data["statements"])


def _result(envelope: Envelope) -> Result:
    data = envelope.data
    return Result(_columns(data["columns"]), data["rows"], data["more"], envelope)


def _batched(found: Mapping[str, Any]) -> Batched:
    columns = _columns(found.get("columns") or ())
    return Batched(found["statement"], found["queryId"], found.get("rowsAffected"), columns, found.get("rows") or [])


def _columns(found: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    known = ("name", "type", "nullable", "precision", "scale")
    return tuple(Column(**{name: each[name] for name in known if name in each}) for each in found)
