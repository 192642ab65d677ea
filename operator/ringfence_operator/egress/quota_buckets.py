"""Buckets as sidecars keep them in Redis (docs/design/2026-11-28-quotas.md), read: pure functions of a hash and a time.

A sliding window has SLOTS slots and counts one more; a calendar window is one slot, named for the second in which it
began. Moments are seconds since the epoch, by the server's clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ringfence_operator.api.quota import Alignment, Limit, Quota
from ringfence_operator.api.quota_matrix import Scope, Window
from ringfence_operator.reconcile.quota_figures import SECONDS, calendar_window

SLOTS = 20
SHARED = "Shared"
ROOT = "quota:"
TOUCHED, EPOCH, PODS = f"{ROOT}touched", f"{ROOT}epoch", f"{ROOT}pods"
OF_AGENT = "a:"
"""What the name of the field of an agent begins with; that of agents that are gone is no longer than this."""
_KEY_PARTS = 5
_MOST = 1e18
"""More than a quantity can say: whoever writes that does not count."""
_WARNED = re.compile(r"w:\d{1,3}", re.ASCII)
_SLOT = re.compile(r"s:\d{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a bucket is: the UID of its quota, and that of an agent, or SHARED."""

    quota: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What is used of one limit, by one agent or by all."""

    slots: Mapping[int, float] = field(default_factory=dict)
    granted: float = 0.0
    """Granted and not yet settled, or held."""
    totals: Mapping[str, float] = field(default_factory=dict)
    """UID of each agent → everything that it ever used; of those that are gone, without a UID, together."""
    refusals: int = 0
    refused_at: float = 0.0
    refused_agent: str = ""
    """UID of the agent."""
    warned: tuple[tuple[float, int, str], ...] = ()
    """When it came to each percentage of `warnAt` last, which it is, and the UID of the agent that was told."""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Bucket":
        """Read a hash; what is no number in it counts as nothing."""
        return cls(
            slots={int(name[2:]): _number(text) for name, text in fields.items() if _SLOT.fullmatch(name)},
            granted=_number(fields.get("r", "")),
            totals={
                name.removeprefix(OF_AGENT): _number(text) for name, text in fields.items() if name.startswith(OF_AGENT)
            },
            refusals=int(_number(fields.get("n", ""))),
            refused_at=_number(fields.get("nt", "")),
            refused_agent=fields.get("na", ""),
            warned=tuple(sorted(_warned(*each) for each in fields.items() if _WARNED.fullmatch(each[0]))),
        )


def bucket_key(quota_uid: str, limit: Limit, owner: str) -> str:
    """Return a bucket's key without the namespace's prefix; `owner` is an agent's UID, or SHARED."""
    calendar = "/calendar" if limit.alignment is Alignment.CALENDAR else ""
    return f"quota:{quota_uid}:{limit.resource}:{limit.window}{calendar}:{owner}"


def owner_of(key: str) -> Owner | None:
    """Return whose the bucket of this key is; None if it is none."""
    parts = key.split(":")
    return Owner(parts[1], parts[4]) if len(parts) == _KEY_PARTS and parts[0] == "quota" else None


def row_of(key: str) -> str:
    """Return what the buckets of one limit have in common: of a shared one, its only key."""
    return key if key.endswith(f":{SHARED}") else key.rpartition(":")[0]


def keys_of_quota(quota: Quota, limit: Limit, agents: list[str]) -> list[str]:
    """Return the keys of all buckets of one limit; `agents` are UIDs."""
    owners = [SHARED] if limit.scope is Scope.SHARED else agents
    return [bucket_key(quota.metadata.uid, limit, owner) for owner in owners]


def used_at(bucket: Bucket, limit: Limit, now: float) -> float:
    """Return what is used of the bucket: what counts in the window, what is granted, and what is held."""
    return round(sum(bucket.slots[each] for each in counting(bucket, limit, now)) + bucket.granted, 6)


def counting(bucket: Bucket, limit: Limit, now: float) -> list[int]:
    """Return the slots that count now, in their order. Where time went back, the newest slot counts as now."""
    if limit.window is Window.NONE:
        return []
    present = max([slot_of(limit, now), *bucket.slots])
    first = present if limit.alignment is Alignment.CALENDAR else present - SLOTS
    return sorted(slot for slot, value in bucket.slots.items() if slot >= first and value > 0)


def slot_of(limit: Limit, now: float) -> int:
    """Return the number of the slot of a moment."""
    if limit.alignment is Alignment.CALENDAR:
        moment = datetime.fromtimestamp(now, UTC)
        return int(calendar_window(limit.window, moment)[0].timestamp())
    return int(now * 1_000) // _milliseconds(limit)


def free_at(bucket: Bucket, limit: Limit, now: float) -> float | None:
    """Return when something of a sliding window is free again; None where nothing is used, or nothing slides."""
    slots = counting(bucket, limit, now)
    if not slots or limit.alignment is Alignment.CALENDAR:
        return None
    return (slots[0] + SLOTS + 1) * _milliseconds(limit) / 1_000


def _milliseconds(limit: Limit) -> int:
    return SECONDS[limit.window] * 1_000 // SLOTS


def _warned(name: str, text: str) -> tuple[float, int, str]:
    at, _, agent = text.partition(" ")
    return _number(at), int(name[2:]), agent


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value < _MOST else 0.0
