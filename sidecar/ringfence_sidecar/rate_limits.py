"""RateLimit and RateLimit-Policy: where limits stand, in the headers of every answer.

Source: draft-ietf-httpapi-ratelimit-headers-11; the fields are Lists of RFC 9651.
"""

import math
from collections.abc import Callable, Iterable
from typing import Final

from ringfence_sidecar.quota import Budget

SECONDS: Final = {"Second": 1, "Minute": 60, "Hour": 3_600, "Day": 86_400, "Month": 2_592_000}
"""Windows → their length; a month is 30 days."""
_UNITS: Final = {"apiCalls": "", "toolCalls": "", "queries": "", "bytesReturned": ';qu="content-bytes"'}
"""What the fields have a unit for: requests, which need not be said, and bytes. For rows or seconds they have none."""
_MOST: Final = 999_999_999_999_999
"""The largest Integer of a structured field."""


def fields_of(known: Callable[[], Iterable[Budget]]) -> Callable[[], list[tuple[bytes, bytes]]]:
    """Return what makes the two headers of what is known, or none where no limit of theirs has a window."""

    def fields() -> list[tuple[bytes, bytes]]:
        budgets = [each for each in known() if each.resource in _UNITS and each.window in SECONDS]
        if not budgets:
            return []
        policies = ", ".join(
            f'"{_name(each)}";q={_whole(each.limit)}{_UNITS[each.resource]};w={SECONDS[each.window]}'
            for each in budgets
        )
        limits = ", ".join(f'"{_name(each)}";r={_whole(each.remaining)}{_until(each)}' for each in budgets)
        return [(b"ratelimit-policy", policies.encode("ascii")), (b"ratelimit", limits.encode("ascii"))]

    return fields


def _name(budget: Budget) -> str:
    """Return the policy's name: a DNS label and words of the API, so nothing in it need be escaped."""
    return f"{budget.quota}/{budget.resource}/{budget.window}/{budget.scope}"


def _until(budget: Budget) -> str:
    return "" if budget.reset_seconds is None else f";t={_whole(math.ceil(budget.reset_seconds))}"


def _whole(number: float) -> int:
    return max(0, min(_MOST, int(number)))
