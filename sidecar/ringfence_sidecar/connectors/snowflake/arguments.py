"""What the operations take."""

from typing import Annotated

import msgspec

Scalar = str | int | float | bool | None
Binds = list[Scalar] | dict[str, Scalar]
Count = Annotated[int, msgspec.Meta(ge=1)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400, description="Longest time for a statement, in seconds.")]
BindsField = Annotated[
    Binds | None,
    msgspec.Meta(description="Values for each ? in their order, or by name for :name. Never paste values."),
]
TableName = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=800, description="A table or view: NAME, SCHEMA.NAME or DATABASE.SCHEMA.NAME."
    ),
]
Place = Annotated[str, msgspec.Meta(max_length=257)]


class _Arguments(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Unknown arguments are refused: a misspelt limit would be no limit."""


class QueryArguments(_Arguments, frozen=True, kw_only=True):
    """Of `query`: either `sql`, or `handle` for the next page of an earlier answer."""

    sql: Annotated[str, msgspec.Meta(max_length=100_000, description="One SELECT, SHOW, DESCRIBE or EXPLAIN.")] = ""
    binds: BindsField = None
    limit: Annotated[Count | None, msgspec.Meta(description="Most rows in this answer.")] = None
    timeout_seconds: Seconds | None = None
    paged: Annotated[
        bool, msgspec.Meta(description="Keep the result open, if it has more rows: details.page has a handle, then.")
    ] = False
    handle: Annotated[str, msgspec.Meta(max_length=100, description="The handle of the answer before.")] = ""


class ExecuteArguments(_Arguments, frozen=True, kw_only=True):
    """Of `execute`."""

    sql: Annotated[Text, msgspec.Meta(description="One statement that changes something.")]
    binds: BindsField = None
    timeout_seconds: Seconds | None = None


class BatchStatement(_Arguments, frozen=True, kw_only=True):
    """One of a batch."""

    sql: Text
    binds: BindsField = None


class BatchArguments(_Arguments, frozen=True, kw_only=True):
    """Of `batch`."""

    statements: Annotated[
        list[BatchStatement],
        msgspec.Meta(min_length=1, max_length=1_000, description="SELECT, INSERT, UPDATE, DELETE or MERGE, in order."),
    ]
    timeout_seconds: Seconds | None = None


class TableArguments(_Arguments, frozen=True, kw_only=True):
    """Of `describe`."""

    table: TableName
    timeout_seconds: Seconds | None = None


class AnalyzeArguments(_Arguments, frozen=True, kw_only=True):
    """Of `analyze_table`."""

    table: TableName
    sample_rows: Annotated[Count | None, msgspec.Meta(description="Rows to look at.")] = None
    timeout_seconds: Seconds | None = None


class ListArguments(_Arguments, frozen=True, kw_only=True):
    """Of `list`."""

    database: Annotated[Place, msgspec.Meta(description="Default: the Connector's.")] = ""
    schema: Annotated[Place, msgspec.Meta(description="Default: all that are permitted.")] = ""
    timeout_seconds: Seconds | None = None


class UsageArguments(_Arguments, frozen=True, kw_only=True):
    """Of `warehouse_usage`."""

    hours: Annotated[int, msgspec.Meta(ge=1, le=720, description="How far back.")] = 24
    timeout_seconds: Seconds | None = None
