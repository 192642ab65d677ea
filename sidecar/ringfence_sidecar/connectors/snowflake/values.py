"""Rows as JSON.

| Snowflake | JSON |
| --- | --- |
| NUMBER, scale 0 | a number up to 2^53 - 1 in magnitude, beyond that a string of digits |
| NUMBER with a scale, DECFLOAT | a string, exact |
| FLOAT | a number; NaN and the infinities are the strings `NaN`, `inf`, `-inf` |
| DATE, TIME | `2026-11-28`, `12:34:56.789000` |
| TIMESTAMP_NTZ | `2026-11-28T12:34:56.789000`, without an offset |
| TIMESTAMP_LTZ, TIMESTAMP_TZ | the same with an offset, or `Z` |
| BINARY | base64 |
| VARIANT, OBJECT, ARRAY, MAP, GEOGRAPHY | what they say themselves, as JSON; as a string if it is none (`undefined`) |
| VECTOR | an array of numbers |
| INTERVAL | a string |

Times have microseconds: that is what the driver keeps of them.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

_TYPES = (
    "NUMBER", "FLOAT", "TEXT", "DATE", "TIMESTAMP", "VARIANT", "TIMESTAMP_LTZ", "TIMESTAMP_TZ", "TIMESTAMP_NTZ",
    "OBJECT", "ARRAY", "BINARY", "TIME", "BOOLEAN", "GEOGRAPHY", "GEOMETRY", "VECTOR", "MAP", "FILE",
    "INTERVAL_YEAR_MONTH", "INTERVAL_DAY_TIME",
)  # fmt: skip
"""By the driver's type code."""
_LARGEST = 2**53 - 1
_SAFE_DIGITS = 15
_ENCODER = msgspec.json.Encoder(decimal_format="string")
Clean = Callable[[Any], Any]
Cleaners = tuple[tuple[int, Clean], ...]
"""Positions of columns, and what makes their values fit for JSON."""


def type_name(code: int) -> str:
    """Return Snowflake's name of a type, by the driver's code."""
    return _TYPES[code] if 0 <= code < len(_TYPES) else "UNKNOWN"


def cleaners(description: Iterable[Any]) -> Cleaners:
    """Return those of the columns whose values JSON cannot have as they are."""
    found = ((at, _cleaner(type_name(column.type_code), column)) for at, column in enumerate(description))
    return tuple((at, clean) for at, clean in found if clean is not None)


def encode_row(row: Sequence[Any], clean: Cleaners) -> bytes:
    """Return a row as a JSON array."""
    if clean:
        values = list(row)
        for at, change in clean:
            if values[at] is not None:
                values[at] = change(values[at])
        row = values
    return _ENCODER.encode(row)


def scalar(value: Any, kind: str) -> Any:
    """Return one value as the rows would have it."""
    change = _BY_TYPE.get(kind)
    return value if change is None or value is None else change(value)


def _cleaner(kind: str, column: Any) -> Clean | None:
    if kind == "NUMBER" and not column.scale and column.precision and column.precision <= _SAFE_DIGITS:
        return None
    return _BY_TYPE.get(kind)


def _number(value: Any) -> Any:
    if isinstance(value, int):
        return value if -_LARGEST <= value <= _LARGEST else str(value)
    return format(value, "f")


def _float(value: float) -> float | str:
    return value if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "NaN")


def _semi_structured(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value


def _plain(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else str(value)


def _interval(value: Any) -> str:
    return str(value.total_seconds()) if isinstance(value, dt.timedelta) else str(value)


_BY_TYPE: dict[str, Clean] = {
    "NUMBER": _number,
    "FLOAT": _float,
    **dict.fromkeys(("VARIANT", "OBJECT", "ARRAY", "MAP", "GEOGRAPHY", "GEOMETRY", "FILE"), _semi_structured),
    "VECTOR": _plain,
    "INTERVAL_YEAR_MONTH": _interval,
    "INTERVAL_DAY_TIME": _interval,
}
