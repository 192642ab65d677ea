"""The audit lines that a sidecar writes among others on its standard output: one JSON object for each call."""

import json
from dataclasses import dataclass

from ringfence_kube.objects import Raw

_BEGIN = b'{"audit":1,'


@dataclass(frozen=True, slots=True)
class Entry:
    """One call, as the audit tells it."""

    time: str
    decision: str
    """allowed, refused or none; for a line that is about no call, its event: start or end."""
    what: str
    """The connector and the operation."""
    outcome: str
    why: str
    """The rule that decided, and the error's code."""
    milliseconds: str
    summary: str
    raw: Raw

    @property
    def is_refused(self) -> bool:
        """True if policy, quota or arguments stopped the call."""
        return self.decision == "refused"


def read_entry(line: bytes) -> Entry | None:
    """Return what an audit line says; None for every other line, and for one that was cut off."""
    if not line.startswith(_BEGIN):
        return None
    try:
        found: Raw = json.loads(line)
    except ValueError:
        return None
    if found.get("event") != "call":
        return Entry(str(found.get("time", "")), str(found.get("event", "")), "", "", "", "", "", found)
    quota = f"Quota {found['quota']}" if found.get("quota") else ""
    return Entry(
        time=str(found.get("time", "")),
        decision=str(found.get("decision", "")),
        what=".".join(filter(None, (found.get("connector"), found.get("operation")))),
        outcome=str(found.get("outcome", "")),
        why=" ".join(filter(None, (quota, found.get("rule"), found.get("code")))),
        milliseconds=f"{found.get('durationMs', 0):.0f} ms",
        summary=str(found.get("summary", "")),
        raw=found,
    )
