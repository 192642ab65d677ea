"""What the driver raises, as the tree of errors has it, and only as much of its text as the agent may read."""

import re
from typing import Any

from ringfence_sidecar.errors import (
    BackendError,
    BackendLostError,
    CallError,
    DeadlineError,
    RefusedError,
)

_NO_CONNECTION = frozenset({4, 5, 6, 14})
"""Kinds of the driver's core (I/O, cancelled, internal, timeout), its error numbers where Snowflake said none."""
_CORES_OWN = 250_001
"""A login that failed for a reason that Snowflake did not number."""
_NO_ANSWER = ("HTTP request failed", "transport error", "timed out")
_NO_SESSION = frozenset({390_104, 390_111, 390_112, 390_114, 390_115, 390_195})
"""The session or its tokens are no more: nothing has been done."""
_CLOSED = frozenset({250_002, 252_006})
"""What the driver says, instead of sending anything, if its connection has been closed."""
_NO_WAREHOUSE = frozenset({606, 90_073})
"""No warehouse, or one that its resource monitor holds: another warehouse may serve, and nothing has been done."""
_NO_WAREHOUSE_STATE = "57P03"
_CANCELLED, _TIMED_OUT = 604, 630
_BUSY = frozenset({603, 625, 300_002, 370_001})
"""Internal errors, and locks that were not to be had: worth another try after a while."""
_NO_PRIVILEGE = frozenset({3_001, 3_003, 3_007})

_TOLD = frozenset(
    {
        904, 938, 939, 979, 980, 1003, 1007, 1011, 1015, 1030, 1038, 1044, 1065, 1104, 2003, 2014, 2016,
        2025, 2027, 2028, 2040, 2043, 2049, 2076, 2140, 2262, 2401, 3001, 90_082, 90_105, 90_106, 100_035,
        100_037, 100_038, 100_039, 100_040, 100_046, 100_048, 100_051, 100_069, 100_071, 100_072, 100_078,
        100_090, 100_132, 100_183,
    }
)  # fmt: skip
"""Errors whose text speaks of the agent's own statement; any other text stays here."""
_LONGEST = 300
_HIDDEN = re.compile(r"expansion of view|stack ?trace|Traceback|\bin transaction\b", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_DATA_ERRORS = range(100_000, 101_000)
_DRIVERS_OWN = range(250_000, 260_000)
_UNNUMBERED = range(100)
"""Kinds of the driver's core, and 0 for none at all: Snowflake has said no number."""


def is_session_gone(error: BaseException) -> bool:
    """Return True if the session of a new statement has ended, so that nothing was done and a new login may serve."""
    return _number(error) in _NO_SESSION | _CLOSED


def connect_failure(error: Exception) -> CallError:
    """Return what a login that failed is: BackendLostError if nobody answered it, else BackendError."""
    number, text = _number(error), str(getattr(error, "raw_msg", ""))
    if number in _NO_CONNECTION or (number == _CORES_OWN and any(said in text for said in _NO_ANSWER)):
        return BackendLostError("the Snowflake account cannot be reached")
    return BackendError(
        f"Snowflake refused the login ({number:06d}): look at the Connector's user, credential and role",
        code="LoginRefused",
    )


def statement_failure(error: Exception, *, wrote: bool) -> CallError:
    """Return what a statement that failed is; `wrote` says that it may have changed something if its end is unknown."""
    number, query_id = _number(error), getattr(error, "sfqid", None)
    if number in _NO_CONNECTION:
        # Even "connection refused" may be what the second try met, after the first one had arrived.
        return BackendLostError("the connection to Snowflake broke", outcome_unknown=wrote, backend_id=query_id)
    if number in _NO_SESSION:
        return BackendLostError("the Snowflake session has ended", backend_id=query_id)
    if number in _NO_WAREHOUSE or getattr(error, "sqlstate", None) == _NO_WAREHOUSE_STATE:
        return BackendLostError("the warehouse cannot run statements now", code="WarehouseAway", backend_id=query_id)
    if number == _TIMED_OUT:
        return DeadlineError(
            "Snowflake ended the statement at its timeout: give a longer timeoutSeconds, or ask for less",
            code="StatementTimeout",
            backend_id=query_id,
        )
    if number in _NO_PRIVILEGE:
        return RefusedError(told(error), rule="snowflake.role", backend_id=query_id)
    return BackendError(
        told(error),
        code={_CANCELLED: "StatementCancelled"}.get(number),
        retryable=number in _BUSY,
        outcome_unknown=wrote and _is_drivers_own(number) and number not in _CLOSED,
        backend_id=query_id,
    )


def told(error: Exception) -> str:
    """Return what the agent may read of the error: its text if that can only be about the agent's own statement.

    Literals of data errors are replaced: they may be values of rows that the statement would not have shown.
    """
    number, text = _number(error), str(getattr(error, "raw_msg", ""))
    state = getattr(error, "sqlstate", None) or "-----"
    if number == _CANCELLED:
        return "the statement was cancelled in Snowflake"
    if _is_drivers_own(number):
        return f"the answer of Snowflake could not be read (error {number:06d})"
    if number not in _TOLD or _HIDDEN.search(text):
        return (
            f"Snowflake refused the statement (error {number:06d}, SQLSTATE {state}); its text is in the query history"
        )
    text = re.sub(r"^\d{6} \(\w{5}\): ", "", text)
    if number in _DATA_ERRORS:
        text = _LITERAL.sub("'?'", text)
    clean = " ".join(text.split())
    clean = clean if len(clean) <= _LONGEST else clean[:_LONGEST] + "…"
    return f"Snowflake: {clean} (error {number:06d}, SQLSTATE {state})"


def _is_drivers_own(number: int) -> bool:
    """Return True if it is the driver that failed, so that nobody knows what Snowflake has done."""
    return number in _DRIVERS_OWN or number in _UNNUMBERED


def _number(error: Any) -> int:
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and number >= 0 else 0
