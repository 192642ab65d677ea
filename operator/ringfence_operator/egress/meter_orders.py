"""What the gateway's meters were told of a pod, and when something else is worth telling."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.network_quota import Allowed

Message = dict[str, Any]
LEAST_NEWS = 65_536
"""Bytes that others used meanwhile and that are worth a message, however little is left."""
_PART = 8
"""So is this part of what was left."""


@dataclass(slots=True)
class Told:
    """What is left to an agent, and what each meter had counted when that was worked out."""

    metered: Metered
    allowed: Allowed
    totals: Mapping[str, int]

    def message(self) -> Message:
        """Return it as the control process is told."""
        left, metered = self.allowed, self.metered
        wait = (left.resets_at - datetime.now(UTC)).total_seconds() if left.resets_at else 0
        return {
            "kind": "meter",
            "uid": metered.pod_uid,
            "agent": metered.agent_uid,
            "address": metered.address,
            "left": left.bytes,
            "totals": dict(self.totals),
            "connections": left.connections,
            "replicas": list(metered.replicas),
            "words": left.words,
            "retryAfter": max(0, int(wait) + 1) if left.resets_at else 0,
        }


def is_news(told: Told, fresh: Allowed, totals: Mapping[str, int]) -> bool:
    """Return True if meters would stop the agent much too late, or too early, by what they were told."""
    before = told.allowed.bytes
    if before is None or fresh.bytes is None:
        return before != fresh.bytes
    if totals.keys() - told.totals.keys():
        # What was said before this meter was heard holds there for no more than what it had been told earlier.
        return True
    # What a meter counted itself it has taken off already; of what others did it knows nothing.
    counted = [total - told.totals.get(meter, 0) for meter, total in totals.items()]
    alone = min(counted) if len(counted) >= max(1, len(told.metered.replicas)) else 0
    unknown = abs(before - alone - fresh.bytes)
    return unknown > max(LEAST_NEWS, before // _PART) or (unknown > 0 and fresh.bytes < LEAST_NEWS)
