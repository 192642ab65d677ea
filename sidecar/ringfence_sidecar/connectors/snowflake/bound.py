"""What the operations of one bound Connector share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import msgspec

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector
from ringfence_sidecar.connectors.base import Cacheable, Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.arguments import Binds
from ringfence_sidecar.connectors.snowflake.judge import Defaults, Judge, Permissions, Verdict, is_loaded
from ringfence_sidecar.connectors.snowflake.judge.names import canonical, split_name
from ringfence_sidecar.connectors.snowflake.judge.refusal import listed, shown
from ringfence_sidecar.connectors.snowflake.pages import Pages
from ringfence_sidecar.connectors.snowflake.scanned import Scans
from ringfence_sidecar.connectors.snowflake.session import Session
from ringfence_sidecar.connectors.snowflake.settings import account_of, limits_of, settings_of
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError

READING_KINDS = frozenset({"Select", "Show", "Describe", "Explain"})
TRANSACTIONAL_KINDS = frozenset({"Select", "Insert", "Update", "Delete", "Merge"})
"""Statements that a transaction can take back; Snowflake commits before and after any other."""
LONG_CHARACTERS = 512
"""What is judged in about 10 ms, where every word is a column or a number."""
_ANYTHING = "*"
"""The tag of all answers, which is no table's name."""
Name = tuple[str, str, str]
"""Database, schema and name, as Snowflake stores them."""


class Bound:
    """A Connector's configuration, decoded once. Raises msgspec.ValidationError or ValueError."""

    def __init__(self, configuration: Connector) -> None:
        self.configuration = configuration
        self.settings = settings_of(configuration)
        self.limits = limits_of(configuration)
        self.permissions = msgspec.convert(configuration.permissions, Permissions)
        self.kinds = frozenset(self.permissions.statements)
        self.pages = Pages(most=self.limits.open_results, seconds=self.limits.open_result_seconds)
        self.scans = Scans()
        warehouses = {account_of(endpoint).warehouse for endpoint in configuration.endpoints}
        self.defaults = Defaults(
            database=self.settings.database,
            schema=self.settings.schema,
            role=self.settings.role,
            warehouse=warehouses.pop() if len(warehouses) == 1 else "",
        )
        self._judge = Judge(self.permissions, self.defaults)
        rates = {each.name: account_of(each).credits_per_hour / 3600 for each in configuration.endpoints}
        self.credits_per_second = rates if all(rates.values()) else {}

    def go_on_with(self, before: "Bound") -> None:
        """Take over from a Connector before, which is permitted the same: open results, and what scans were like."""
        pages, self.scans = before.pages, before.scans
        pages.most, pages.seconds = self.pages.most, self.pages.seconds
        self.pages = pages

    def judge(self, sql: str, *, rows: int) -> Verdict:
        """Return the verdict on a statement; a query answers one row more than `rows`, so that a cut shows."""
        return self._judge(sql, row_cap=rows)

    def is_long(self, texts: Iterable[tuple[str, int]]) -> bool:
        """Return True if judging texts, each with its most rows, takes long: the first one, or one that is long itself.

        One that is remembered takes no time.
        """
        characters = sum(len(sql) for sql, rows in texts if not self._judge.knows(sql, row_cap=rows))
        return characters > (LONG_CHARACTERS if is_loaded() else 0)

    def timeout(self, asked: float | None) -> float:
        """Return how long a statement may take, in seconds."""
        most = float(self.limits.statement_timeout_seconds)
        return most if asked is None else min(asked, most)

    def seconds(self, asked: float | None, context: Context, statements: int = 1) -> float:
        """Return how long so many statements of a call may take: what a quota is asked for."""
        return min(self.timeout(asked) * statements, context.deadline.remaining)

    def cacheable(self, tables: Iterable[str], *material: str) -> Cacheable:
        """Return what makes an answer from such tables, besides the role."""
        return Cacheable(material=(self.settings.role, *material), tags=frozenset({*tables, _ANYTHING}))

    def is_readable(self, name: Name) -> bool:
        """Return True if the table is permitted."""
        return any(pattern.covers(name) for pattern in self.permissions.readable)

    def table(self, written: str) -> Name:
        """Return a table's whole name. Raises InvalidArgumentsError, or RefusedError if it may not be read."""
        parts = self.parts(written, "arguments.table")
        if len(parts) > 3:  # noqa: PLR2004 - database, schema, name
            raise InvalidArgumentsError("write NAME, SCHEMA.NAME or DATABASE.SCHEMA.NAME", field="arguments.table")
        (database,) = split_name(self.settings.database)
        (schema,) = split_name(self.settings.schema)
        name = (*(database, schema)[: 3 - len(parts)], *parts)
        if not self.is_readable(name):  # type: ignore[arg-type] # three, by the line above
            raise RefusedError(
                f"reading {shown(canonical(*name))} is not permitted: permitted tables are "
                f"{listed(self.permissions.tables)}",
                code="TableNotPermitted",
                rule="sql.tables",
                field="arguments.table",
            )
        return name  # type: ignore[return-value]

    def parts(self, written: str, field: str) -> tuple[str, ...]:
        """Return the parts of a written name. Raises InvalidArgumentsError."""
        try:
            parts = split_name(written)
        except ValueError as error:
            raise InvalidArgumentsError(str(error), field=field) from None
        if "*" in parts:
            raise InvalidArgumentsError("name one object: * stands for none here", field=field)
        return parts


class Action(ABC):
    """One operation of a bound Connector."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound

    @property
    @abstractmethod
    def operation(self) -> Operation:
        """What it is."""

    def texts(self, arguments: Any) -> Iterable[tuple[str, int]]:  # noqa: ARG002 - most are given none
        """Return the texts that `prepare` has judged, each with its most rows."""
        return ()

    @abstractmethod
    def prepare(self, arguments: Any, context: Context) -> Prepared:
        """See `Connector.prepare`."""

    @abstractmethod
    async def run(self, session: Session, payload: Any, context: Context) -> Outcome:
        """See `Connector.execute`."""


def spoils(verdict: Verdict) -> frozenset[str]:
    """Return the tags of the answers that a statement makes untrue."""
    if verdict.effect is Effect.READ:
        return frozenset()
    if verdict.kind == "Call":
        # What a procedure changes is in its own text.
        return frozenset({_ANYTHING})
    # What is written from a stream is not in it any more.
    return verdict.writes | verdict.reads


def bind(verdict: Verdict, given: Binds | None, *, field: str) -> tuple[Any, ...]:
    """Return a value for each `?` of the judged text. Raises InvalidArgumentsError if that does not come out even."""
    values: dict[int | str, Any] = {}
    values.update(given.items() if isinstance(given, dict) else enumerate(given or ()))
    wanted = set(verdict.binds)
    if missing := sorted(map(str, wanted - values.keys())):
        raise InvalidArgumentsError(
            f"bind {missing[0]} of the statement has no value: give binds as a list for ?, as an object for :name",
            field=field,
        )
    if surplus := sorted(map(str, values.keys() - wanted)):
        raise InvalidArgumentsError(
            f"a value has no place in the statement ({surplus[0]}): write ? or :name where it belongs", field=field
        )
    return tuple(values[name] for name in verdict.binds)


def quoted(name: tuple[str, ...]) -> str:
    """Return a name for SQL."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)
