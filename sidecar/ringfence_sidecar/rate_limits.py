"""RateLimit and RateLimit-Policy: where limits stand, in the headers of every answer.

Source: draft-ietf-httpapi-ratelimit-headers-11; the fields are Lists of RFC 9651. What does not change with each call
is put together once for each change of the limits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ringfence_sidecar.quota import Left, Policy

SECONDS: Final = {"Second": 1, "Minute": 60, "Hour": 3_600, "Day": 86_400, "Month": 2_592_000}
"""Windows → their length; a month is 30 days."""
_UNITS: Final = {"apiCalls": "", "toolCalls": "", "queries": "", "bytesReturned": ';qu="content-bytes"'}
"""What the fields have a unit for: requests, which need not be said, and bytes. For rows or seconds they have none."""
_MOST: Final = 999_999_999_999_999
"""The largest Integer of a structured field."""
_HALF: Final = 0.0005
"""Of a millisecond, to which the seconds are known: what is beyond is no second more."""


class Keeper(Protocol):
    """Whoever keeps limits."""

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What of the limits stays as it is; another object as soon as any has changed."""

    def left(self) -> Sequence[Left]:
        """Return where each of the `policies` stands."""


def fields_of(keeper: Keeper) -> Callable[[], list[tuple[bytes, bytes]]]:
    """Return what makes the two headers of what is known, or none where no limit of theirs has a window."""
    seen: tuple[Policy, ...] = ()
    begins: list[str] = []
    """By policy: how its part of the changing field begins; empty for what is in none."""
    fixed = b"ratelimit-policy", b""

    def fields() -> list[tuple[bytes, bytes]]:
        nonlocal seen, begins, fixed
        policies = keeper.policies
        if policies is not seen:
            seen, begins, fixed = policies, *_fixed(policies)
        if not fixed[1]:
            return []
        limits = [
            f"{begin}{int(min(_MOST, remaining))}{_until(seconds)}"
            for begin, (remaining, seconds) in zip(begins, keeper.left(), strict=True)
            if begin
        ]
        return [fixed, (b"ratelimit", ", ".join(limits).encode("ascii"))]

    return fields


def _fixed(policies: Sequence[Policy]) -> tuple[list[str], tuple[bytes, bytes]]:
    begins, said = [], []
    for each in policies:
        if each.resource not in _UNITS or each.window not in SECONDS:
            begins.append("")
            continue
        # A DNS label and words of the API, so nothing in it need be escaped.
        name = f'"{each.quota}/{each.resource}/{each.window}/{each.scope}"'
        begins.append(f"{name};r=")
        most = max(0, min(_MOST, int(each.limit)))
        said.append(f"{name};q={most}{_UNITS[each.resource]};w={SECONDS[each.window]}")
    return begins, (b"ratelimit-policy", ", ".join(said).encode("ascii"))


def _until(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f";t={math.ceil(seconds - _HALF)}" if seconds > _HALF else ";t=0"
