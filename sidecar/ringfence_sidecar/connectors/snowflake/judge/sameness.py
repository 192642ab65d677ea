"""Whether two trees mean the same, where the parser reads its own writing in another way.

It has several classes and flags for some functions, of which only its other dialects make a difference. What is
tolerated is listed; where brackets were needed and are not written, say, the trees differ in shape, and that is not.
"""

from itertools import zip_longest
from typing import Any

from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake

from ringfence_sidecar.connectors.snowflake.judge import nodes

_ALIKE = frozenset({("DateTrunc", "TimestampTrunc")})
_TYPES = frozenset({("TEXT", "VARCHAR")})
_PARTS = Snowflake.DATE_PART_MAPPING


def is_same(left: exp.Expression, right: exp.Expression) -> bool:
    """Return True if the trees have one shape, and the same text at its ends."""
    stack: list[tuple[exp.Expression, exp.Expression]] = [(left, right)]
    while stack:
        first, second = stack.pop()
        if type(first) is not type(second):
            if not _is_alike(first, second):
                return False
            if not isinstance(first, exp.Func):
                continue
        for argument in first.args.keys() | second.args.keys():
            if (type(first).__name__, argument) in nodes.DERIVED:
                continue
            pairs = _pairs(first.args.get(argument), second.args.get(argument))
            for one, other in pairs:
                if isinstance(one, exp.Expression) and isinstance(other, exp.Expression):
                    stack.append((one, other))
                elif not _is_same_scalar(first, one, other):
                    return False
    return True


def _pairs(one: Any, other: Any) -> list[tuple[Any, Any]]:
    return list(zip_longest(one if isinstance(one, list) else [one], other if isinstance(other, list) else [other]))


def _is_alike(first: exp.Expression, second: exp.Expression) -> bool:
    if isinstance(first, exp.Identifier) and isinstance(second, exp.Literal):
        return isinstance(first.parent, exp.PropertyEQ) and bool(second.is_string) and first.this == second.this
    if isinstance(first, exp.Literal) and isinstance(second, exp.Var):
        return bool(first.is_string) and isinstance(first.parent, exp.DateTrunc) and first.this == second.this
    if isinstance(first, exp.RawString) and isinstance(second, exp.Literal):
        return bool(second.is_string) and first.this == second.this
    return (type(first).__name__, type(second).__name__) in _ALIKE


def _is_same_scalar(owner: exp.Expression, one: Any, other: Any) -> bool:
    if (one or None) == (other or None):
        return True
    if one in (None, True, False) and other in (None, True, False):
        return isinstance(owner, (exp.Func, exp.Binary, exp.JSONPathKey))
    if isinstance(one, exp.DType) and isinstance(other, exp.DType):
        return (one.name, other.name) in _TYPES
    if isinstance(owner, exp.Var) and isinstance(one, str) and isinstance(other, str):
        return one.upper() == other.upper() or _PARTS.get(one.upper()) == other.upper()
    return False
