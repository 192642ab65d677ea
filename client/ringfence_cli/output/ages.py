"""Times as kubectl writes them: how long ago, in one or two units."""

from datetime import datetime

from ringfence_kube.objects import time_of

_UNITS = (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_SECOND_UNIT_BELOW = 10


def age(text: str | None, now: datetime) -> str:
    """Return how long ago a moment of the API server was, such as 5m, 3h12m or 2d; empty where there is none."""
    return duration((now - time_of(text)).total_seconds()) if text else ""


def duration(seconds: float) -> str:
    """Return so many seconds in their largest unit, with the next one where the number is small."""
    left = max(0, int(seconds))
    for at, (unit, size) in enumerate(_UNITS):
        if left >= size:
            count, rest = divmod(left, size)
            further = rest // _UNITS[at + 1][1] if count < _SECOND_UNIT_BELOW and size > 1 else 0
            return f"{count}{unit}" + (f"{further}{_UNITS[at + 1][0]}" if further else "")
    return "0s"
