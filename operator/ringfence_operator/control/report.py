"""What a gateway's responder reports that agents asked for, checked before it goes on to the operator."""

from collections.abc import Mapping
from typing import Any

import orjson

MOST_NAMES = 8_192
_NAME_FIELDS: Mapping[str, type] = {"block": int, "name": str, "port": int, "verdict": str, "count": int, "last": int}
_OTHER_FIELDS: Mapping[str, type] = {"block": int, "verdict": str, "count": int}
_VERDICTS = {"allowed", "denied", "audited"}


class InvalidReportError(ValueError):
    """A report does not have the form that the operator expects."""


def seen_of(body: bytes) -> dict[str, Any]:
    """Return the operator's message for a report: `{"node": "POD/dns", "names": [...], "other": [...]}`."""
    try:
        report = orjson.loads(body)
        replica = report["node"].partition("/")[0]
        names = [_entry(each, _NAME_FIELDS) for each in report["names"]]
        other = [_entry(each, _OTHER_FIELDS) for each in report["other"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InvalidReportError(f"not a report: {error!r}") from error
    if not replica or len(names) > MOST_NAMES or len(other) > MOST_NAMES:
        raise InvalidReportError(f"a report names its node, and at most {MOST_NAMES} names")
    return {"kind": "seen", "replica": replica, "names": names, "other": other}


def _entry(entry: Any, fields: Mapping[str, type]) -> dict[str, Any]:
    found = {name: entry[name] for name in fields}
    for name, kind in fields.items():
        if type(found[name]) is not kind:
            raise InvalidReportError(f"{name}: {found[name]!r} is no {kind.__name__}")
    if found["verdict"] not in _VERDICTS:
        raise InvalidReportError(f"verdict: {found['verdict']!r} is none of {', '.join(sorted(_VERDICTS))}")
    return found
