"""`analyze_table`: how large a table is, and what its columns hold, from a bounded sample."""

import time
from dataclasses import dataclass
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import ColumnProfile, TableColumn, TableProfile
from ringfence_sidecar.connectors.snowflake.arguments import AnalyzeArguments
from ringfence_sidecar.connectors.snowflake.bound import Action
from ringfence_sidecar.connectors.snowflake.catalog import Table, columns_of, entry_of
from ringfence_sidecar.connectors.snowflake.judge.names import canonical
from ringfence_sidecar.connectors.snowflake.sampling import FIGURES, sample_sql, share_of
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.connectors.snowflake.values import scalar, type_name
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.quota import SCANNED

OPERATION = Operation(
    name="analyze_table",
    title="Analyze a table of Snowflake",
    description=(
        "Answers row count, size, and for each column how many values of a sample are null or distinct, and the least "
        "and greatest. Uses the warehouse for one pass over the sample."
    ),
    effect=Effect.READ,
    arguments=AnalyzeArguments,
    result=TableProfile,
)
_MOST_COLUMNS = 200
_LONGEST_TEXT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    table: Table
    sample_rows: int


class Analyze(Action):
    """See OPERATION."""

    operation = OPERATION

    def prepare(self, arguments: AnalyzeArguments, context: Context) -> Prepared:
        """Judge the table."""
        name = self.bound.table(arguments.table)
        most = self.bound.limits.sample_rows
        sample = min(arguments.sample_rows or most, most)
        table = canonical(*name)
        timeout = self.bound.timeout(arguments.timeout_seconds)
        return Prepared(
            operation=OPERATION,
            effect=Effect.READ,
            payload=_Look(table=Table(name=name, timeout_seconds=timeout), sample_rows=sample),
            rule="sql.tables",
            summary=f"analyze {table}",
            estimate={
                "queries": 3,
                "rows": 1,
                SCANNED: self.bound.scans.estimate,
                "querySeconds": self.bound.seconds(arguments.timeout_seconds, context, 3),
            },
            cache=self.bound.cacheable((table,), "analyze_table", table, str(sample)),
        )

    async def run(self, session: Session, payload: _Look, context: Context) -> Outcome:
        """Ask for columns, size and figures: three statements, the last of which needs the warehouse."""
        started, table = time.monotonic(), payload.table
        columns, _ = await columns_of(session, table, context)
        kind, row_count, size = await entry_of(session, table, context)
        looked = columns[:_MOST_COLUMNS]
        share = share_of(payload.sample_rows, row_count, size) if kind == "TABLE" else None
        sql = sample_sql(table.name, looked, payload.sample_rows, share)
        sampled, figures, query_id = await _figures(session, table, sql, context)
        if not sampled and share is not None:
            sql = sample_sql(table.name, looked, payload.sample_rows, None)
            sampled, figures, query_id = await _figures(session, table, sql, context)
        scan = await self.bound.scans.of(session, [query_id], context, since=started)
        profile = TableProfile(
            table=canonical(*table.name),
            kind=kind,
            row_count=row_count,
            bytes=size,
            sampled_rows=sampled,
            columns=[_profile(column, figures, sampled, at) for at, column in enumerate(looked)],
        )
        return Outcome(
            data=profile,
            warnings=_warnings(profile, len(columns)),
            partial=len(columns) > len(looked),
            backend_id=query_id,
            used={"queries": 3, "rows": 1, "querySeconds": time.monotonic() - started, **scan},
            # Which partitions are in a sample is another question each time.
            cacheable=share is None,
        )


async def _figures(
    session: Session, table: Table, sql: str, context: Context
) -> tuple[int, list[tuple[Any, str]], str | None]:
    """Return the sample's rows, the figures with their types, and the query's ID."""
    cursor = await session.run(Statement(sql=sql, timeout_seconds=table.timeout_seconds), context)
    try:
        with failures():
            row = await cursor.fetchone()
        kinds = [type_name(column.type_code) for column in cursor.description]
        return int(row[0]), list(zip(row[1:], kinds[1:], strict=True)), cursor.sfqid
    finally:
        cursor.close()


def _profile(column: TableColumn, figures: list[tuple[Any, str]], sampled: int, at: int) -> ColumnProfile:
    filled, distinct, least, greatest = figures[FIGURES * at : FIGURES * (at + 1)]
    return ColumnProfile(
        name=column.name,
        type=column.type,
        nullable=column.nullable,
        nulls=sampled - int(filled[0]),
        distinct=None if distinct[0] is None else int(distinct[0]),
        minimum=_short(scalar(*least)),
        maximum=_short(scalar(*greatest)),
    )


def _short(value: Any) -> Any:
    return value[:_LONGEST_TEXT] + "…" if isinstance(value, str) and len(value) > _LONGEST_TEXT else value


def _warnings(profile: TableProfile, columns: int) -> tuple[Notice, ...]:
    warnings: list[Notice] = []
    if profile.row_count is None or profile.sampled_rows < profile.row_count:
        said = f"of {profile.row_count} rows" if profile.row_count is not None else "of a view"
        warnings.append(Notice("Sampled", f"the columns' figures are of {profile.sampled_rows} rows {said}"))
    if columns > len(profile.columns):
        warnings.append(Notice("ColumnsCut", f"the table has {columns} columns: the first {_MOST_COLUMNS} are here"))
    return tuple(warnings)
