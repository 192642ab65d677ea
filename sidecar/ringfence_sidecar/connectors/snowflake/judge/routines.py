"""Functions, table functions and the procedure of a CALL."""

from dataclasses import dataclass

from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge import functions
from ringfence_sidecar.connectors.snowflake.judge.names import SIMPLE, Defaults, canonical, fold, split_name
from ringfence_sidecar.connectors.snowflake.judge.permissions import Permissions
from ringfence_sidecar.connectors.snowflake.judge.refusal import listed, refuse, shown

_SOURCES = (exp.TableFromRows, exp.Table, exp.Lateral)


@dataclass(slots=True)
class Routines:
    """Judges what is called."""

    permissions: Permissions
    defaults: Defaults
    procedure: int
    deterministic: bool = True

    def judge(self, node: exp.Expression) -> None:
        """Judge a function, a qualified name, or a source of rows that is none. Raises RefusedError."""
        if isinstance(node, (exp.TableFromRows, exp.Lateral)):
            if not (isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery)):
                self.judge_source(node.this)
        elif isinstance(node, exp.Dot):
            self._dot(node)
        elif isinstance(node.parent, exp.Dot) and node.parent.expression is node:
            return
        elif isinstance(node, exp.Anonymous):
            self._named(node)
        else:
            self._known(node)

    def judge_source(self, node: object) -> None:
        """Judge what stands in FROM and is no name; it is judged as a function besides."""
        if type(node).__name__ in functions.TABLE_CLASSES:
            return
        if isinstance(node, exp.Dot):
            return
        if isinstance(node, exp.Anonymous) and isinstance(node.this, str) and node.this.upper() not in functions.NAMES:
            return
        refuse("sql.functions", "in FROM stands a table, a subquery, FLATTEN, or a table function that is permitted")

    def _known(self, node: exp.Expression) -> None:
        name = type(node).__name__
        if isinstance(node, exp.Generator):
            _check_generator(node)
        if name in functions.UNSTEADY_CLASSES:
            self.deterministic = False
        if name in functions.CLASSES or (name in functions.TABLE_CLASSES and isinstance(node.parent, _SOURCES)):
            return
        spelled = node.sql_names() if isinstance(node, exp.Func) else []
        self.deterministic = False
        if name not in functions.LISTABLE_CLASSES or not any(
            spelling in self.permissions.function_names for spelling in spelled
        ):
            self._refuse(spelled[0] if spelled else name)

    def _named(self, node: exp.Expression) -> None:
        if not isinstance(node.this, str) or not SIMPLE.fullmatch(node.this):
            refuse("sql.functions", "a function is called by its name, without quotes")
        name = node.this.upper()
        whole = canonical(*self._place(()), name)
        if id(node) == self.procedure:
            self._call(whole)
            self._qualify(node)
            return
        if name in functions.NAMES:
            self.deterministic = self.deterministic and name not in functions.UNSTEADY_NAMES
            return
        self.deterministic = False
        if canonical(name) in self.permissions.function_names:
            return
        if whole not in self.permissions.function_names:
            self._refuse(name)
        self._qualify(node)

    def _dot(self, node: exp.Expression) -> None:
        called = node.args.get("expression")
        if isinstance(called, exp.Identifier):
            if called.this.upper() == "NEXTVAL":
                refuse("sql.constructs", "NEXTVAL moves a sequence, so it is not permitted")
            return
        if not isinstance(called, exp.Anonymous) or not isinstance(called.this, str):
            refuse("sql.functions", "a qualified function is written DB.SCHEMA.NAME(…), without quotes around NAME")
        if not SIMPLE.fullmatch(called.this):
            refuse("sql.functions", "a qualified function is written DB.SCHEMA.NAME(…), with simple letters in NAME")
        database, schema = self._place(_qualifiers(node.this))
        node.set("this", _qualified(database, schema))
        whole = canonical(database, schema, called.this.upper())
        if id(node) == self.procedure:
            self._call(whole)
            return
        self.deterministic = False
        if whole not in self.permissions.function_names:
            self._refuse(whole)

    def _place(self, qualifiers: tuple[str, ...]) -> tuple[str, str]:
        if len(qualifiers) > 2:  # noqa: PLR2004 - database and schema
            refuse("sql.functions", "a function has up to three names: write DB.SCHEMA.NAME(…)")
        defaults = (split_name(self.defaults.database)[0], split_name(self.defaults.schema)[0])
        database, schema = (*defaults[: 2 - len(qualifiers)], *qualifiers)
        return database, schema

    def _qualify(self, node: exp.Expression) -> None:
        """Write the name in full: a session looks in other schemas, too, if the default one has no such routine."""
        dot = exp.Dot(this=_qualified(*self._place(())))
        node.replace(dot)
        dot.set("expression", node)

    def _call(self, whole: str) -> None:
        if whole not in self.permissions.procedure_names:
            may = listed(self.permissions.procedures)
            refuse("sql.procedures", f"CALL {shown(whole)} is not permitted: permitted procedures are {may}")

    def _refuse(self, name: str) -> None:
        may = listed(self.permissions.functions)
        refuse(
            "sql.functions",
            f"the function {shown(name)} is not permitted: permitted are Snowflake's that compute from their arguments "
            f"alone, and {may}",
        )


def _check_generator(node: exp.Expression) -> None:
    rows = node.args.get("rowcount")
    given = rows.this if isinstance(rows, exp.Literal) else ""
    most = functions.MOST_GENERATED_ROWS
    if node.args.get("timelimit") or not given.isdecimal() or len(given) > len(str(most)) or int(given) > most:
        refuse("sql.functions", f"GENERATOR is permitted with a ROWCOUNT up to {most}, and without TIMELIMIT")


def _qualifiers(node: object) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, exp.Dot):
        parts.append(_stored(node.args.get("expression")))
        node = node.this
    parts.append(_stored(node))
    return tuple(reversed(parts))


def _stored(node: object) -> str:
    if not isinstance(node, exp.Identifier):
        refuse("sql.functions", "a qualified function is written DB.SCHEMA.NAME(…)")
    try:
        return fold(node.this, quoted=bool(node.args.get("quoted")))
    except ValueError as error:
        refuse("sql.names", f"the name {shown(str(node.this))} is not permitted: {error}")


def _qualified(database: str, schema: str) -> exp.Expression:
    return exp.Dot(this=exp.to_identifier(database, quoted=True), expression=exp.to_identifier(schema, quoted=True))
