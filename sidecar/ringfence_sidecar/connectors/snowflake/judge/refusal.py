"""What the judge says when it says no."""

from typing import NoReturn

from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError

FIELD = "arguments.sql"

CODES = {
    "sql.text": "TextNotPermitted",
    "sql.single": "SeveralStatements",
    "sql.statements": "StatementNotPermitted",
    "sql.constructs": "ConstructNotPermitted",
    "sql.tables": "TableNotPermitted",
    "sql.writableTables": "TableNotWritable",
    "sql.functions": "FunctionNotPermitted",
    "sql.procedures": "ProcedureNotPermitted",
    "sql.stages": "StageNotPermitted",
    "sql.session": "SessionNotPermitted",
    "sql.names": "NameNotPermitted",
    "sql.limit": "LimitNotPermitted",
    "sql.roundTrip": "NotRepeatable",
}
"""Rule → code. Both are released: neither is ever renamed."""

_SHOWN = 120


def refuse(rule: str, message: str) -> NoReturn:
    """Raise RefusedError under one of the rules of CODES."""
    raise RefusedError(message, code=CODES[rule], rule=rule, field=FIELD)


def invalid(message: str) -> NoReturn:
    """Raise InvalidArgumentsError: the text is no statement that can be judged."""
    raise InvalidArgumentsError(message, rule="sql.parse", field=FIELD)


def shown(name: str) -> str:
    """Return a name of the caller's for a message: printable, and not long."""
    clean = "".join(character if character.isprintable() else "?" for character in name)
    return clean if len(clean) <= _SHOWN else clean[:_SHOWN] + "…"


def listed(names: tuple[str, ...]) -> str:
    """Return the first of the permitted names for a message."""
    if not names:
        return "none"
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")  # noqa: PLR2004
