"""What the starters in pools' pods ask and say: checked, and told to the operator at once: somebody waits for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence_operator.control.reports import BadPollError, Poll, inside_of

PATH = "/v1/starter/poll"
PROTOCOL = 1
MOST_TEXT = 1024
NO_ORDER = "none"
"""The version of no order. Others are digests, so none of them has it."""


@dataclass(slots=True)
class StarterReports:
    """What each pod's starter said last; `tell` takes what is new to the operator."""

    tell: Callable[[dict[str, Any]], None]
    _told: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def take(self, uid: str, report: Mapping[str, Any]) -> None:
        """Note what the pod's starter says."""
        if self._told.get(uid) != report:
            self._told[uid] = report
            self.tell({"kind": "starterSeen", "uid": uid, **report})

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._told.pop(uid, None)


def starter_poll_of(wire: Any, *, longest: float) -> Poll:
    """Return the poll that the JSON `wire` says (docs/design/2026-11-30-pools.md). Raises BadPollError.

    It waits at most `longest` seconds.
    """
    if not isinstance(wire, dict):
        raise BadPollError("the body is no JSON object")
    if wire.get("protocol", PROTOCOL) != PROTOCOL:
        raise BadPollError(f"protocol {wire['protocol']!r} is not served here: this operator speaks {PROTOCOL}")
    wait = wire.get("waitSeconds")
    wait = longest if wait is None else wait
    if not isinstance(wait, (int, float)) or isinstance(wait, bool):
        raise BadPollError("waitSeconds is no number")
    started = wire.get("started", False)
    if not isinstance(started, bool):
        raise BadPollError("started is neither true nor false")
    version, refused = _text(wire, "version"), _text(wire, "refused")
    report = {
        "agentUid": _text(wire, "agentUid"),
        "started": started,
        # Starters of before there was this answer take it for an order, and refuse it as malformed: nothing is wrong.
        "refused": "" if version == NO_ORDER else refused,
        "inside": inside_of(wire.get("inside")),
    }
    holds_order = not started and version not in ("", NO_ORDER)
    return Poll(version, {}, min(max(wait, 0), longest), report, holds_order)


def _text(wire: Mapping[str, Any], name: str) -> str:
    text = wire.get(name, "")
    if not isinstance(text, str):
        raise BadPollError(f"{name} is no text")
    return text[:MOST_TEXT]
