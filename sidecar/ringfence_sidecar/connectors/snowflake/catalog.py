"""`describe` and `list`: what there is, without a warehouse's work."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import TableColumn, TableDescription, TableEntry, TableList
from ringfence_sidecar.connectors.snowflake.arguments import ListArguments, TableArguments
from ringfence_sidecar.connectors.snowflake.bound import Action, Name, quoted
from ringfence_sidecar.connectors.snowflake.judge.names import canonical
from ringfence_sidecar.connectors.snowflake.judge.refusal import listed
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError

DESCRIBE = Operation(
    name="describe",
    title="Describe a table of Snowflake",
    description="Answers the columns of a table or view with their types. Costs no warehouse time.",
    effect=Effect.READ,
    arguments=TableArguments,
    result=TableDescription,
)
LIST = Operation(
    name="list",
    title="List tables of Snowflake",
    description=(
        "Answers the tables and views of a database or schema that may be read, with row counts and sizes where "
        "Snowflake knows them. Costs no warehouse time."
    ),
    effect=Effect.READ,
    arguments=ListArguments,
    result=TableList,
)
_MOST_OBJECTS = 10_000
"""Snowflake shows no more in one statement."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table to look at."""

    name: Name
    timeout_seconds: float


class _Look(Action):
    """What it answers counts as rows."""

    def _estimate(self, timeout: float | None, context: Context) -> dict[str, float]:
        seconds = self.bound.seconds(timeout, context)
        return {"queries": 1, "rows": self.bound.limits.rows, "querySeconds": seconds}


class Describe(_Look):
    """See DESCRIBE."""

    operation = DESCRIBE

    def prepare(self, arguments: TableArguments, context: Context) -> Prepared:
        """Judge the table."""
        name = self.bound.table(arguments.table)
        table = canonical(*name)
        return Prepared(
            operation=DESCRIBE,
            effect=Effect.READ,
            payload=Table(name=name, timeout_seconds=self.bound.timeout(arguments.timeout_seconds)),
            rule="sql.tables",
            summary=f"describe {table}",
            estimate=self._estimate(arguments.timeout_seconds, context),
            cache=self.bound.cacheable((table,), "describe", table),
        )

    async def run(self, session: Session, payload: Table, context: Context) -> Outcome:
        """Return its columns."""
        started = time.monotonic()
        columns, query_id = await columns_of(session, payload, context)
        shown = columns[: context.grants.whole("rows", len(columns))]
        is_cut = len(shown) < len(columns)
        return Outcome(
            data=TableDescription(table=canonical(*payload.name), columns=shown),
            warnings=(context.grants.notice("rows"),) if is_cut else (),
            partial=is_cut,
            backend_id=query_id,
            used={"queries": 1, "rows": len(shown), "querySeconds": time.monotonic() - started},
            cacheable=not is_cut,
        )


class List(_Look):
    """See LIST."""

    operation = LIST

    def prepare(self, arguments: ListArguments, context: Context) -> Prepared:
        """Judge the place: a database of which nothing may be read is not looked into."""
        place: tuple[str, ...] = (self._one(arguments.database or self.bound.settings.database, "arguments.database"),)
        if arguments.schema:
            place = (*place, self._one(arguments.schema, "arguments.schema"))
        if not any(_may_be_in(pattern.parts, place) for pattern in self.bound.permissions.readable):
            raise RefusedError(
                f"nothing in {canonical(*place)} may be read: permitted tables are "
                f"{listed(self.bound.permissions.tables)}",
                code="TableNotPermitted",
                rule="sql.tables",
            )
        kind = "SCHEMA" if arguments.schema else "DATABASE"
        sql = f"SHOW OBJECTS IN {kind} {quoted(place)} LIMIT {_MOST_OBJECTS}"
        timeout = self.bound.timeout(arguments.timeout_seconds)
        return Prepared(
            operation=LIST,
            effect=Effect.READ,
            payload=Statement(sql=sql, timeout_seconds=timeout),
            rule="sql.tables",
            summary=f"list {canonical(*place)}",
            estimate=self._estimate(arguments.timeout_seconds, context),
        )

    async def run(self, session: Session, payload: Statement, context: Context) -> Outcome:
        """Return what may be read of what is there, up to the row cap."""
        started = time.monotonic()
        rows, query_id = await shown(session, payload, context)
        may = [entry for row in rows if (entry := self._entry(row)) is not None]
        most = context.grants.whole("rows", self.bound.limits.rows)
        more = len(may) > most or len(rows) >= _MOST_OBJECTS
        is_short = len(may) > most and context.grants.is_short("rows")
        return Outcome(
            data=TableList(tables=may[:most], more=more),
            warnings=(context.grants.notice("rows") if is_short else _cut(most),) if more else (),
            partial=more,
            backend_id=query_id,
            used={"queries": 1, "rows": len(may[:most]), "querySeconds": time.monotonic() - started},
            cacheable=False,
        )

    def _one(self, written: str, field: str) -> str:
        parts = self.bound.parts(written, field)
        if len(parts) != 1:
            raise InvalidArgumentsError("write one name: database and schema are arguments of their own", field=field)
        return parts[0]

    def _entry(self, row: Row) -> TableEntry | None:
        name = (str(row["database_name"]), str(row["schema_name"]), str(row["name"]))
        if not self.bound.is_readable(name):
            return None
        return TableEntry(
            name=canonical(*name),
            kind=str(row.get("kind") or "TABLE"),
            row_count=_whole(row.get("rows")),
            bytes=_whole(row.get("bytes")),
            comment=str(row["comment"]) if row.get("comment") else None,
        )


async def columns_of(session: Session, table: Table, context: Context) -> tuple[list[TableColumn], str | None]:
    """Return a table's columns in their order, and the query's ID."""
    sql = f"DESCRIBE TABLE {quoted(table.name)}"
    rows, query_id = await shown(session, Statement(sql=sql, timeout_seconds=table.timeout_seconds), context)
    columns = [
        TableColumn(
            name=str(row["name"]),
            type=str(row["type"]),
            nullable=str(row.get("null?", "Y")).upper() != "N",
            default=str(row["default"]) if row.get("default") is not None else None,
            comment=str(row["comment"]) if row.get("comment") else None,
        )
        for row in rows
    ]
    return columns, query_id


async def entry_of(session: Session, table: Table, context: Context) -> tuple[str, int | None, int | None]:
    """Return kind, row count and bytes of a table; a view has no counts."""
    place = quoted((table.name[0], "INFORMATION_SCHEMA", "TABLES"))
    sql = f"SELECT TABLE_TYPE, ROW_COUNT, BYTES FROM {place} WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"  # noqa: S608
    statement = Statement(sql=sql, binds=table.name[1:], timeout_seconds=table.timeout_seconds)
    rows, _ = await shown(session, statement, context)
    found: Row = rows[0] if rows else {}
    kind = str(found.get("table_type") or "TABLE").removeprefix("BASE ")
    return kind, _whole(found.get("row_count")), _whole(found.get("bytes"))


async def shown(session: Session, statement: Statement, context: Context) -> tuple[list[Row], str | None]:
    """Return the rows of one of our own statements by column name in lower case, and the query's ID."""
    cursor = await session.run(statement, context)
    try:
        with failures():
            rows: Sequence[Sequence[Any]] = await cursor.fetchall()
        names = [column.name.lower() for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in rows], cursor.sfqid
    finally:
        cursor.close()


def _may_be_in(pattern: tuple[str, str, str], place: tuple[str, ...]) -> bool:
    return all(part in ("*", wanted) for part, wanted in zip(pattern, place, strict=False))


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _cut(most: int) -> Notice:
    return Notice("RowsCut", f"there are more than {most} tables or views, so the rest is not here: name a schema")
