"""The statement behind `analyze_table`: figures of a bounded part of a table."""

from collections.abc import Sequence

from ringfence_sidecar.connectors.snowflake.answers import TableColumn
from ringfence_sidecar.connectors.snowflake.bound import Name, quoted

FIGURES = 4
"""For each column: values that are not null, distinct ones, the least, the greatest."""
_PARTITION_BYTES = 16_000_000
"""What Snowflake puts into one micro-partition, compressed. A sample takes some of them, whole."""
_FEW = 10
"""Of so few partitions, any sample is likely to be empty: the first rows are taken."""
_ENOUGH = 5.0
"""So many partitions are wanted of a sample: it is empty once in 150 times, then."""
_OPAQUE = ("VARIANT", "OBJECT", "ARRAY", "MAP", "GEOGRAPHY", "GEOMETRY", "VECTOR", "FILE")
"""Types that are neither compared nor ordered."""
_UNORDERED = (*_OPAQUE, "BINARY", "VARBINARY", "BOOLEAN")


def share_of(rows: int, row_count: int | None, size: int | None) -> float | None:
    """Return what share of a table's partitions to take for so many rows, in percent, or None for its first rows.

    A share costs less than a scan: partitions that are not taken are not read.
    """
    partitions = (size or 0) / _PARTITION_BYTES
    if not row_count or row_count <= rows or partitions <= _FEW:
        return None
    return min(100.0, 100 * max(rows / row_count, _ENOUGH / partitions))


def sample_sql(table: Name, columns: Sequence[TableColumn], rows: int, share: float | None) -> str:
    """Return the statement: one row, with the number of rows and FIGURES for each column."""
    part = "" if share is None else f" SAMPLE SYSTEM ({share:.4f})"
    wanted = ", ".join(quoted((column.name,)) for column in columns)
    figures = ["COUNT(*)", *(figure for column in columns for figure in _figures(column))]
    sample = f"SELECT {wanted} FROM {quoted(table)}{part} LIMIT {rows}"  # noqa: S608 - every name is quoted
    return f"SELECT {', '.join(figures)} FROM ({sample})"  # noqa: S608 - the same


def _figures(column: TableColumn) -> tuple[str, str, str, str]:
    name, kind = quoted((column.name,)), column.type.upper()
    distinct = "NULL" if kind.startswith(_OPAQUE) else f"COUNT(DISTINCT {name})"
    least, greatest = ("NULL", "NULL") if kind.startswith(_UNORDERED) else (f"MIN({name})", f"MAX({name})")
    return f"COUNT({name})", distinct, least, greatest
