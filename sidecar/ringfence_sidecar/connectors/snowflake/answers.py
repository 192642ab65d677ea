"""What the operations answer: the envelope's `data`."""

from typing import Annotated, Any

import msgspec

Rows = Annotated[
    msgspec.Raw,
    msgspec.Meta(extra_json_schema={"type": "array", "items": {"type": "array"}}, description="One array per row."),
]
"""JSON already: a large answer is never there twice as Python's objects."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """JSON in camelCase."""


class Column(_Answer, frozen=True, kw_only=True):
    """One column of a result."""

    name: str
    type: str
    nullable: bool | None = None
    precision: int | None = None
    scale: int | None = None


class QueryAnswer(_Answer, frozen=True, kw_only=True):
    """Of `query`."""

    columns: list[Column]
    rows: Rows
    row_count: int
    more: bool
    """Whether the result has rows that are not here; a warning says what cut it."""


class ExecuteAnswer(_Answer, frozen=True, kw_only=True):
    """Of `execute`."""

    statement: str
    """Its kind, such as `Insert`."""
    rows_affected: int | None
    message: str = ""
    """Snowflake's own word, of statements that count no rows; what a procedure returns."""


class StatementAnswer(_Answer, frozen=True, kw_only=True):
    """One statement of a batch. The rows are those of a SELECT."""

    statement: str
    query_id: str
    rows_affected: int | None = None
    columns: list[Column] | None = None
    rows: Rows | None = None
    row_count: int | None = None


class BatchAnswer(_Answer, frozen=True, kw_only=True):
    """Of `batch`: all were done and committed."""

    statements: list[StatementAnswer]


class ColumnProfile(_Answer, frozen=True, kw_only=True):
    """What a sample says of a column; None where the type has no such figure."""

    name: str
    type: str
    nullable: bool
    nulls: int | None = None
    distinct: int | None = None
    minimum: Any = None
    maximum: Any = None


class TableProfile(_Answer, frozen=True, kw_only=True):
    """Of `analyze_table`."""

    table: str
    kind: str
    row_count: int | None
    """None for a view."""
    bytes: int | None
    sampled_rows: int
    columns: list[ColumnProfile]


class TableColumn(_Answer, frozen=True, kw_only=True):
    """One column of a table."""

    name: str
    type: str
    """As in DDL, such as `NUMBER(38,0)`."""
    nullable: bool
    default: str | None = None
    comment: str | None = None


class TableDescription(_Answer, frozen=True, kw_only=True):
    """Of `describe`."""

    table: str
    columns: list[TableColumn]


class TableEntry(_Answer, frozen=True, kw_only=True):
    """One table or view."""

    name: str
    """Fully qualified."""
    kind: str
    row_count: int | None = None
    bytes: int | None = None
    comment: str | None = None


class TableList(_Answer, frozen=True, kw_only=True):
    """Of `list`."""

    tables: list[TableEntry]
    more: bool


class Hour(_Answer, frozen=True, kw_only=True):
    """What the warehouse did in an hour. None where Snowflake has no figure."""

    start: str
    credits: float | None = None
    credits_compute: float | None = None
    credits_cloud_services: float | None = None
    running: float | None = None
    """Queries at once, on average."""
    queued: float | None = None
    """Queries that waited for the warehouse, on average."""


class WarehouseUsage(_Answer, frozen=True, kw_only=True):
    """Of `warehouse_usage`."""

    warehouse: str
    credits: float
    hours: list[Hour]
