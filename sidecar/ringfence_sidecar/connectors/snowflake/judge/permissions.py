"""What a Connector permits in SQL; everything that is not listed is closed."""

from functools import cached_property

import msgspec

from ringfence_sidecar.connectors.snowflake.judge.names import Pattern, canonical, split_name

KINDS = (
    "Select",
    "Insert",
    "Update",
    "Delete",
    "Merge",
    "Truncate",
    "CreateTable",
    "CreateView",
    "AlterTable",
    "DropTable",
    "DropView",
    "Show",
    "Describe",
    "Explain",
    "Call",
)

_NEVER = frozenset(
    {
        "GETVARIABLE",
        "GET_CONDITION_QUERY_UUID",
        "GET_PRESIGNED_URL",
        "LAST_QUERY_ID",
        "LAST_TRANSACTION",
        "LOGIN_HISTORY",
        "LOGIN_HISTORY_BY_USER",
        "QUERY_HISTORY",
        "QUERY_HISTORY_BY_SESSION",
        "QUERY_HISTORY_BY_USER",
        "QUERY_HISTORY_BY_WAREHOUSE",
        "RESULT_SCAN",
        "TO_QUERY",
    }
)
"""They answer with other agents' statements, results or session, or run text: not even the list opens them."""


class Permissions(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True, dict=True):
    """The Connector's `permissions`. Raises ValueError (msgspec.ValidationError when decoded) if one opens nothing."""

    statements: tuple[str, ...] = ()
    """Of KINDS. MERGE needs the kinds of its clauses too, OR REPLACE needs the Drop, INSERT OVERWRITE the Truncate."""
    tables: tuple[str, ...] = ()
    """DB.SCHEMA.NAME of tables and views that may be read; `*` stands for a whole part."""
    writable_tables: tuple[str, ...] | None = None
    """Those that may be written; without it, `tables`."""
    functions: tuple[str, ...] = ()
    """Beyond the built-in list: DB.SCHEMA.NAME of the user's, or the one name of Snowflake's."""
    procedures: tuple[str, ...] = ()
    """DB.SCHEMA.NAME of what CALL may call."""
    stages: tuple[str, ...] = ()
    """DB.SCHEMA.NAME of named stages whose files may be read."""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.statements if kind not in KINDS]
        if unknown:
            raise ValueError(f"no statement is called {unknown[0]!r}: choose from {', '.join(KINDS)}")
        for pattern in (*self.tables, *(self.writable_tables or ()), *self.stages):
            Pattern.parse(pattern)
        for name in self.functions:
            _check_routine(name, lengths=(1, 3))
        for name in self.procedures:
            _check_routine(name, lengths=(3,))

    @cached_property
    def readable(self) -> tuple[Pattern, ...]:
        """The patterns of `tables`."""
        return tuple(Pattern.parse(text) for text in self.tables)

    @cached_property
    def writable(self) -> tuple[Pattern, ...]:
        """The patterns of `writable_tables`."""
        listed = self.tables if self.writable_tables is None else self.writable_tables
        return tuple(Pattern.parse(text) for text in listed)

    @cached_property
    def readable_stages(self) -> tuple[Pattern, ...]:
        """The patterns of `stages`."""
        return tuple(Pattern.parse(text) for text in self.stages)

    @cached_property
    def function_names(self) -> frozenset[str]:
        """Canonical names of `functions`."""
        return frozenset(canonical(*split_name(name)) for name in self.functions)

    @cached_property
    def procedure_names(self) -> frozenset[str]:
        """Canonical names of `procedures`."""
        return frozenset(canonical(*split_name(name)) for name in self.procedures)


def _check_routine(name: str, *, lengths: tuple[int, ...]) -> None:
    parts = split_name(name)
    if "*" in parts or len(parts) not in lengths:
        raise ValueError(f"{name!r}: functions and procedures are listed as DB.SCHEMA.NAME, and without *")
    if parts[-1] in _NEVER or any(part.startswith("SYSTEM$") for part in parts):
        raise ValueError(f"{name!r} cannot be permitted: it reaches beyond the statement")
