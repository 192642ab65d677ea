"""What a gateway reports that agents asked for and have used, checked before it goes on to the operator."""

from collections.abc import Mapping
from typing import Any

import orjson

MOST_NAMES = 8_192
_NAME_FIELDS: Mapping[str, type] = {"block": int, "name": str, "port": int, "verdict": str, "count": int, "last": int}
_OTHER_FIELDS: Mapping[str, type] = {"block": int, "verdict": str, "count": int}
MOST_AGENTS = 1_024
MOST_SLOTS = 256
_AGENT_FIELDS: Mapping[str, type] = {"agent": str, "total": int, "open": int, "refused": int, "cut": int}
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


def metered_of(body: bytes) -> dict[str, Any]:
    """Return the operator's message for what a meter has counted: `{"meter": "POD/ID", "agents": [...]}`.

    `"isPast": true` says that the meter is gone, and that another gateway repeats what it was given to keep.
    """
    try:
        report = orjson.loads(body)
        meter, agents = report["meter"], [_agent(each) for each in report["agents"]]
        is_past = report.get("isPast") is True
        replica, _, number = meter.partition("/")
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidReportError(f"not a meter's report: {error!r}") from error
    if not replica or not number or len(agents) > MOST_AGENTS:
        raise InvalidReportError(f"a report names its meter, and at most {MOST_AGENTS} agents")
    return {"kind": "metered", "replica": replica, "meter": meter, "agents": agents, "isPast": is_past}


def _agent(entry: Any) -> dict[str, Any]:
    slots = {
        str(window): {str(int(slot)): int(count) for slot, count in found.items()}
        for window, found in entry["slots"].items()
    }
    pods = {str(pod): int(total) for pod, total in entry.get("pods", {}).items()}
    if sum(len(found) for found in (*slots.values(), pods)) > MOST_SLOTS:
        raise InvalidReportError(f"an agent has at most {MOST_SLOTS} slots and pods")
    return {**_typed(entry, _AGENT_FIELDS), "slots": slots, "pods": pods}


def _typed(entry: Any, fields: Mapping[str, type]) -> dict[str, Any]:
    found = {name: entry[name] for name in fields}
    for name, kind in fields.items():
        if type(found[name]) is not kind:
            raise InvalidReportError(f"{name}: {found[name]!r} is no {kind.__name__}")
    return found


def _entry(entry: Any, fields: Mapping[str, type]) -> dict[str, Any]:
    found = _typed(entry, fields)
    if found["verdict"] not in _VERDICTS:
        raise InvalidReportError(f"verdict: {found['verdict']!r} is none of {', '.join(sorted(_VERDICTS))}")
    return found
