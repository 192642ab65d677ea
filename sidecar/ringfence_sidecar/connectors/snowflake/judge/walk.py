"""Every node of a tree, judged once; names of tables are made whole on the way."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge import nodes
from ringfence_sidecar.connectors.snowflake.judge.names import SIMPLE, Defaults, fold
from ringfence_sidecar.connectors.snowflake.judge.permissions import Permissions
from ringfence_sidecar.connectors.snowflake.judge.refusal import refuse, shown
from ringfence_sidecar.connectors.snowflake.judge.routines import Routines
from ringfence_sidecar.connectors.snowflake.judge.scope import Scope, bodies
from ringfence_sidecar.connectors.snowflake.judge.tables import Tables

MOST_NODES = 20_000
MOST_LEVELS = 400

_KEYWORD = re.compile(r"[A-Za-z_ ]{1,40}", re.ASCII)
_NUMBER = re.compile(r"[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]*", re.ASCII)
_SPOKEN = frozenset({"CURRENT_ACCOUNT", "CURRENT_ROLE", "CURRENT_SESSION", "CURRENT_USER", "SESSION_USER", "USER"})
"""Functions that need no brackets."""
_STARTING = frozenset({"LATERAL", "SELECT", "TABLE", "VALUES"})
"""Words that start a query, and no column's name without quotes."""
_UNSTEADY = frozenset({"TableSample", "Changes"})


@dataclass(slots=True)
class Walk:
    """One pass over one tree."""

    permissions: Permissions
    defaults: Defaults
    targets: frozenset[int] = frozenset()
    """Ids of the Table nodes that the statement writes to."""
    settled: frozenset[int] = frozenset()
    """Ids of nodes that the statement's own rule has judged."""
    procedure: int = 0
    """Id of the node that CALL calls."""
    deterministic: bool = True
    tables: Tables = field(init=False)
    routines: Routines = field(init=False)

    def __post_init__(self) -> None:
        self.tables = Tables(self.permissions, self.defaults, self.targets)
        self.routines = Routines(self.permissions, self.defaults, self.procedure)

    def run(self, root: exp.Expression) -> None:
        """Judge the tree; raises RefusedError."""
        stack: list[tuple[exp.Expression, Scope, int]] = [(root, Scope(), 0)]
        seen = 0
        while stack:
            node, scope, level = stack.pop()
            seen += 1
            if seen > MOST_NODES or level > MOST_LEVELS:
                refuse("sql.text", "the statement is too large: use binds for data, and common table expressions")
            for child, inner in self._enter(node, scope, root):
                stack.append((child, inner, level + 1))
        self.deterministic = self.deterministic and self.tables.deterministic and self.routines.deterministic

    def _enter(
        self, node: exp.Expression, scope: Scope, root: exp.Expression
    ) -> Iterator[tuple[exp.Expression, Scope]]:
        name = type(node).__name__
        if name in nodes.STATEMENTS and node is not root:
            _check_nested(node, name)
        if isinstance(node, exp.Table):
            if id(node) not in self.settled:
                self.tables.judge(node, scope, self.routines)
        elif isinstance(node, (exp.Func, exp.Dot, exp.TableFromRows, exp.Lateral)):
            self.routines.judge(node)
        else:
            _rules(name)(node)
        if name in _UNSTEADY or (name == "HistoricalData" and node.args["kind"] == "OFFSET"):
            self.deterministic = False
        with_ = node.args.get("with_")
        inner = scope.extended(with_) if with_ is not None else scope
        for child in _children(node, name):
            if child is with_:
                yield from bodies(with_, scope)
            elif not _is_settled(child):
                yield child, inner


def _is_settled(node: exp.Expression) -> bool:
    return isinstance(node, exp.Var) and isinstance(node.parent, exp.Table)


def _check_nested(node: exp.Expression, name: str) -> None:
    if name in ("Insert", "Update") and isinstance(node.parent, exp.When):
        return
    if name == "Drop" and isinstance(node.parent, exp.Alter):
        return
    refuse("sql.statements", f"{name} inside another statement is not permitted: send it as a call of its own")


def _children(node: exp.Expression, name: str) -> Iterator[exp.Expression]:
    """Yield the nodes below, having judged that each argument may be there."""
    shape = nodes.SHAPES.get(name)
    open_to_all = shape is None and (isinstance(node, exp.Func) or name in nodes.OPERATORS)
    if shape is None and not open_to_all:
        refuse("sql.constructs", f"the construct {name} is not permitted: write the statement without it")
    for argument, value in node.args.items():
        if value is None or value is False or value == []:
            continue
        if (name, argument) in nodes.DERIVED:
            continue
        if argument not in (node.arg_types if shape is None else shape):
            refuse("sql.constructs", f"{argument.rstrip('_')} in {name} is not permitted: write it without that clause")
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, exp.Expression):
                yield item
            else:
                _check_scalar(name, argument, item)


def _check_scalar(name: str, argument: str, value: Any) -> None:
    if value is True or value is None or value is False or isinstance(value, (int, exp.DType)):
        return
    if isinstance(value, str) and ((name, argument) in nodes.TEXTS or value == "" or _KEYWORD.fullmatch(value)):
        return
    refuse("sql.constructs", f"{argument.rstrip('_')} of {name} is not permitted here: write it in a simpler way")


def _nothing(node: exp.Expression) -> None:
    """Nothing but the shape decides about it."""


def _identifier(node: exp.Expression) -> None:
    if isinstance(node.parent, exp.PropertyEQ) or (not node.this and isinstance(node.parent, exp.Table)):
        return
    try:
        fold(node.this, quoted=bool(node.args.get("quoted")))
    except ValueError as error:
        refuse("sql.names", f"the name {shown(str(node.this))} is not permitted: {error}")


def _literal(node: exp.Expression) -> None:
    if not node.args.get("is_string") and not _NUMBER.fullmatch(node.this):
        refuse("sql.constructs", "a number has digits, a point and an exponent: put anything else in quotes")


def _hex(node: exp.Expression) -> None:
    if not _HEX.fullmatch(node.this):
        refuse("sql.constructs", "a binary literal has the digits 0 to F only")


def _var(node: exp.Expression) -> None:
    if not SIMPLE.fullmatch(node.this):
        refuse("sql.constructs", f"{shown(node.this)} is not permitted here: name tables, columns and functions only")


def _parameter(node: exp.Expression) -> None:
    if not isinstance(node.this, exp.Literal) or not node.this.this.isdecimal():
        refuse("sql.session", "variables of the session and stages as values are not permitted: give values as binds")


def _placeholder(node: exp.Expression) -> None:
    name = node.this
    if not isinstance(name, str) or not name:
        refuse("sql.constructs", "a bind stands for a value: write ? or :name where a value may be")
    if re.fullmatch(r"rfp[0-9]+|rfn[A-Za-z0-9_]+", name, re.ASCII):
        return
    if name.isdecimal() and name.isascii() and 0 < len(name) < 5:  # noqa: PLR2004 - as many binds as the text can hold
        node.set("this", f"rfp{int(name)}")
    elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name, re.ASCII):
        node.set("this", f"rfn{name}")
    else:
        refuse("sql.names", "a bind's name has letters, digits and _, up to 64: rename it")


def _column(node: exp.Expression) -> None:
    name = node.this
    if not isinstance(name, exp.Identifier):
        return
    if name.this.upper() == "NEXTVAL" and node.args.get("table") is not None:
        refuse("sql.constructs", "NEXTVAL moves a sequence, so it is not permitted: let a column's default do it")
    word = "" if name.args.get("quoted") else name.this.upper()
    if word in _SPOKEN:
        refuse("sql.functions", f"{word} tells about the login, and is not permitted: leave it out")
    if word in _STARTING:
        refuse("sql.names", f"a column called {word} is written in double quotes")


def _data_type(node: exp.Expression) -> None:
    kind = node.this
    if not isinstance(kind, exp.DType) or kind.name not in nodes.TYPES:
        refuse("sql.constructs", f"the type {shown(str(getattr(kind, 'name', '?')))} is not permitted: cast to another")


def _history(node: exp.Expression) -> None:
    if node.args.get("kind") not in ("TIMESTAMP", "OFFSET"):
        refuse("sql.constructs", "time travel is to a point in time: write AT (TIMESTAMP => …) or AT (OFFSET => …)")


def _window(node: exp.Expression) -> None:
    if node.args.get("over") not in (None, "OVER"):
        refuse("sql.constructs", "only OVER opens a window")


_RULES: dict[str, Callable[[exp.Expression], None]] = {
    "Column": _column,
    "DataType": _data_type,
    "HexString": _hex,
    "HistoricalData": _history,
    "Identifier": _identifier,
    "Literal": _literal,
    "Parameter": _parameter,
    "Placeholder": _placeholder,
    "Var": _var,
    "Window": _window,
}


def _rules(name: str) -> Callable[[exp.Expression], None]:
    return _RULES.get(name, _nothing)
