"""Durations: strings such as 90s, 15m or 1h30m on the wire, whole seconds in the operator."""

import re
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from ringfence_operator.api.rule import Rule

PATTERN = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"
MAX_LENGTH = 18

_FORM = re.compile(r"(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?", re.ASCII)


@lru_cache(maxsize=1024)
def parse_duration(value: str | int) -> int:
    """Return the seconds that `value` stands for; an int is taken as seconds already.

    Raises ValueError for any other form.
    """
    if isinstance(value, int):
        return value
    found = _FORM.fullmatch(value)
    if not value or found is None:
        raise ValueError(f"{value!r} is not a duration such as 90s, 15m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def format_duration(seconds: int) -> str:
    """Return the canonical string for `seconds`: 5400 is 1h30m, 0 is 0s."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"


_STRING = {"type": "string", "minLength": 2, "maxLength": MAX_LENGTH}

Duration = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_STRING),
    Rule(
        f"self.matches('{PATTERN}') && self.matches('[1-9]')",
        "write a duration above zero in hours, minutes and seconds, such as 90s, 15m or 1h30m",
    ),
]
"""Seconds, above zero."""

DurationOrZero = Annotated[
    int,
    Field(ge=0),
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_STRING),
    Rule(
        f"self.matches('{PATTERN}')",
        "write a duration in hours, minutes and seconds, such as 0s, 90s, 15m or 1h30m",
    ),
]
"""Seconds; zero is allowed."""
