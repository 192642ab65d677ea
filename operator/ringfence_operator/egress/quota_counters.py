"""What is known of one namespace's counters in Redis, and what a quota's status says of them: without I/O."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Scope, Window
from ringfence_operator.egress.quota_buckets import SHARED, Bucket, bucket_key, free_at, used_at
from ringfence_operator.egress.quota_holders import Held
from ringfence_operator.egress.quota_tally import Tally
from ringfence_operator.reconcile.quota_use import Use, Warned

AWAY_SECONDS = 10.0
"""For how long Redis may not answer before a status says so."""
_AS_OF = "until then onStoreUnavailable decides, and figures are as of the last look"

Trouble = tuple[Reason, str]


@dataclass(slots=True)
class Counters:
    """One namespace's."""

    since: float
    """When they were first looked for."""
    buckets: dict[str, Bucket] = field(default_factory=dict)
    holders: Held = field(default_factory=dict)
    """Of what is held at once."""
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    epoch: str | None = None
    is_recovering: bool = False
    evicts: str = ""
    """By what policy the server throws keys away; empty if it does not."""
    is_known: bool = False
    """Whether all of it was read once: what is there since then and was not before is new."""
    read_at: float | None = None
    """When all of it was read; None while it has to be."""
    answered_at: float | None = None
    told: Trouble | None = None
    """What quotas were last told to be the matter."""

    def put(self, key: str, bucket: Bucket | None) -> int:
        """Take what is in a bucket now, None for nothing; return how often it has refused since it was read before."""
        before = self.buckets.pop(key, None)
        if bucket is None:
            return 0
        self.buckets[key] = bucket
        if before is None and not self.is_known:
            return 0
        grown = bucket.refusals - (before.refusals if before else 0)
        return grown if grown >= 0 else bucket.refusals

    def trouble(self, now: float) -> Trouble | None:
        """Return why sidecars do not keep limits by these counters, if they do not."""
        since = self.answered_at if self.answered_at is not None else self.since
        if self.evicts:
            message = (
                f"Redis may throw counters away, so sidecars count it as away: write maxmemory-policy noeviction in "
                f"place of {self.evicts}; {_AS_OF}"
            )
            return Reason.NOT_SUPPORTED, message
        if self.is_recovering:
            message = f"the counters are new or have lost something, and sidecars have yet to report: {_AS_OF}"
            return Reason.STORE_UNAVAILABLE, message
        if now - since > AWAY_SECONDS:
            return Reason.STORE_UNAVAILABLE, f"Redis does not answer: {_AS_OF}"
        return None

    def use(self, quota: Quota, limit: Limit, names: Mapping[str, str], now: float) -> Use:
        """Return where a limit stands; `names` are those of the quota's agents by UID, `now` the server's time."""
        if not self.is_known:
            return Use(used=0.0, is_awaited=True)
        if limit.scope is Scope.SHARED:
            return self._shared(quota, limit, names, now)
        return self._per_agent(quota, limit, names, now)

    def _shared(self, quota: Quota, limit: Limit, names: Mapping[str, str], now: float) -> Use:
        key = bucket_key(quota.metadata.uid, limit, SHARED)
        bucket = self.buckets.get(key)
        if bucket is None:
            return Use(used=0.0)
        is_held = limit.window is Window.NONE
        by_agent = self.holders.get(key, {}) if is_held else self.tallies[key].used(limit, now)
        return Use(
            used=used_at(bucket, limit, now),
            per_agent={names[uid]: amount for uid, amount in by_agent.items() if uid in names},
            resets_at=_moment(free_at(bucket, limit, now)),
            refusals=bucket.refusals,
            refused_at=_moment(bucket.refused_at or None),
            refused_agent=names.get(bucket.refused_agent, ""),
            warned=_warned(bucket, names),
        )

    def _per_agent(self, quota: Quota, limit: Limit, names: Mapping[str, str], now: float) -> Use:
        found = {
            uid: bucket
            for uid in names
            if (bucket := self.buckets.get(bucket_key(quota.metadata.uid, limit, uid))) is not None
        }
        if not found:
            return Use(used=0.0)
        used = {uid: used_at(bucket, limit, now) for uid, bucket in found.items()}
        most = max(used, key=lambda uid: (used[uid], names[uid]))
        last = max(found, key=lambda uid: found[uid].refused_at)
        refused_at = found[last].refused_at
        return Use(
            used=used[most],
            per_agent={names[uid]: amount for uid, amount in used.items()},
            resets_at=_moment(free_at(found[most], limit, now)),
            refusals=sum(bucket.refusals for bucket in found.values()),
            refused_at=_moment(refused_at or None),
            refused_agent=names[last] if refused_at else "",
            refused={names[uid]: at for uid, each in found.items() if (at := _moment(each.refused_at or None))},
            warned=tuple(told for bucket in found.values() for told in _warned(bucket, names)),
        )


def _warned(bucket: Bucket, names: Mapping[str, str]) -> tuple[Warned, ...]:
    dated = ((_moment(seconds or None), percent, agent) for seconds, percent, agent in bucket.warned)
    return tuple(Warned(percent, names.get(agent, ""), at) for at, percent, agent in dated if at and percent)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)
