"""Which names are common table expressions, and where."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge.names import fold
from ringfence_sidecar.connectors.snowflake.judge.refusal import refuse, shown

_TAKEN = frozenset({"DIRECTORY", "FLATTEN", "GENERATOR", "IDENTIFIER", "LATERAL", "TABLE", "UNNEST", "VALUES"})
"""Words that start something else in FROM."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that hide tables at one place of a statement, as Snowflake stores them."""

    names: frozenset[str] = frozenset()

    def extended(self, with_: exp.Expression) -> "Scope":
        """Return the scope of what stands after the WITH."""
        return Scope(self.names.union(_names(with_, self)))


def bodies(with_: exp.Expression, scope: Scope) -> Iterator[tuple[exp.Expression, Scope]]:
    """Yield what is in a WITH, each with its scope; one that is not RECURSIVE does not see itself.

    What is not seen is a table, and is written with its full name. So however Snowflake resolves it, it is judged.
    """
    recursive = bool(with_.args.get("recursive"))
    names = _names(with_, scope)
    for index, cte in enumerate(with_.expressions):
        before = Scope(scope.names.union(names[:index]))
        body = cte.this
        yield cte.args["alias"], before
        if recursive and isinstance(body, exp.Union) and not body.args.get("distinct") and _is_plain(body):
            yield body.this, before
            yield body.expression, Scope(before.names | {names[index]})
        else:
            yield body, before


def _is_plain(union: exp.Expression) -> bool:
    allowed = {"this", "expression", "distinct", "by_name"}
    return all(not value for argument, value in union.args.items() if argument not in allowed)


def _names(with_: exp.Expression, scope: Scope) -> list[str]:
    names: list[str] = []
    for cte in with_.expressions:
        if type(cte) is not exp.CTE or any(value for name, value in cte.args.items() if name not in ("this", "alias")):
            refuse("sql.constructs", "a common table expression is written NAME AS (SELECT …)")
        names.append(_name(cte))
        if names[-1] in _TAKEN:
            refuse("sql.names", f"a common table expression cannot be called {names[-1]}: rename it")
        if names[-1] in scope.names or names[-1] in names[:-1]:
            refuse("sql.names", f"two common table expressions are called {shown(names[-1])}: rename one")
    return names


def _name(cte: exp.Expression) -> str:
    alias = cte.args.get("alias")
    identifier = alias.this if alias is not None else None
    if not isinstance(identifier, exp.Identifier):
        refuse("sql.constructs", "a common table expression has a name: write NAME AS (SELECT …)")
    try:
        return fold(identifier.this, quoted=bool(identifier.args.get("quoted")))
    except ValueError as error:
        refuse("sql.names", f"the name {shown(identifier.this)} is not permitted: {error}")
