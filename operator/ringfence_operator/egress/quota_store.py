"""What sidecars count of quotas in Redis, read while this replica leads: what was touched, now and then all of it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Enforcer, Scope
from ringfence_operator.egress.quota_buckets import (
    EPOCH,
    SHARED,
    TOUCHED,
    Bucket,
    bucket_key,
    free_at,
    keys_of_quota,
    owner_of,
    used_at,
)
from ringfence_operator.egress.quota_servers import QuotaServers
from ringfence_operator.egress.quota_tally import Tally
from ringfence_operator.egress.redis_place import RedisPlace, prefix_of
from ringfence_operator.reconcile.quota_index import BY_UID
from ringfence_operator.reconcile.quota_use import OnUse, Use
from ringfence_operator.reconcile.quotas import agents_of, limits_of
from ringfence_operator.reconcile.view import View

LOOK_SECONDS = 5.0
"""How often it is asked what was touched."""
FULL_SECONDS = 600.0
"""How often everything is read: what nobody touches changes by time alone, but agents and quotas go."""
AWAY_SECONDS = 10.0
"""For how long Redis may not answer before a status says so."""
_BATCH = 500
_MOST_BATCHES = 20
"""Of one look; what is left is taken by the next."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Namespace:
    since: float
    """When it was first looked for."""
    buckets: dict[str, Bucket] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    epoch: str | None = None
    is_recovering: bool = False
    read_at: float | None = None
    """When all of it was read; None while it has to be."""
    answered_at: float | None = None
    was_away: bool = False


class QuotaStore:
    """A `reconcile.quota_use.LimitSource` of the limits that sidecars keep; `run` it while this replica leads."""

    def __init__(
        self,
        view: View,
        place: RedisPlace,
        *,
        on_use: OnUse,
        clock: Callable[[], float],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._view: Final = view
        self._servers: Final = QuotaServers(place, clock)
        self._on_use: Final = on_use
        self._clock: Final = clock
        self._look_seconds: Final = look_seconds
        self._namespaces: dict[str, _Namespace] = {}

    async def run(self) -> None:
        """Read until cancelled, beginning with all there is."""
        self._namespaces.clear()
        try:
            while True:
                for namespace, quotas in self._limited().items():
                    await self._look(namespace, quotas)
                await asyncio.sleep(self._look_seconds)
        finally:
            self._servers.close()

    def _limited(self) -> dict[str, list[Quota]]:
        """Return the namespaces with quotas that sidecars keep, and forget the others."""
        found: dict[str, list[Quota]] = defaultdict(list)
        for quota in self._view.quotas.cache.values():
            if limits_of([quota], Enforcer.SIDECAR):
                found[quota.metadata.namespace].append(quota)
        for gone in self._namespaces.keys() - found.keys():
            del self._namespaces[gone]
        return found

    async def _look(self, namespace: str, quotas: list[Quota]) -> None:
        now = self._clock()
        state = self._namespaces.setdefault(namespace, _Namespace(now))
        try:
            touched = await self._news(namespace, state)
            if state.read_at is None or now - state.read_at > FULL_SECONDS:
                touched |= await self._read_all(namespace, state, quotas)
                state.read_at = now
            else:
                await self._read(namespace, state, sorted(touched))
            state.answered_at = now
            self._tally(state, quotas, touched)
        except OSError as error:
            # What was taken out of the set and not read is read again with everything.
            state.read_at = None
            log.debug("quota_store.away", namespace=namespace, error=type(error).__name__)
            touched = set()
        if self._is_away(state) != state.was_away:
            state.was_away = not state.was_away
            for quota in quotas:
                self._on_use(quota.key)
        self._tell(touched)

    async def _news(self, namespace: str, state: _Namespace) -> set[str]:
        """Return the buckets that were touched, without the prefix; look at the epoch besides."""
        prefix, touched = prefix_of(namespace), set[str]()
        for _ in range(_MOST_BATCHES):
            epoch, taken = await self._servers.ask(
                namespace,
                [("HMGET", prefix + EPOCH, "id", "state"), ("SPOP", prefix + TOUCHED, str(_BATCH))],
            )
            self._see_epoch(state, epoch)
            touched |= {str(each).removeprefix(prefix) for each in taken or ()}
            if len(taken or ()) < _BATCH:
                break
        return touched

    def _see_epoch(self, state: _Namespace, said: Any) -> None:
        epoch, is_recovering = (said[0] or "", said[1] == "recovering") if said else ("", False)
        if state.epoch is not None and epoch != state.epoch:
            state.read_at = None
        state.epoch, state.is_recovering = epoch, is_recovering

    async def _read_all(self, namespace: str, state: _Namespace, quotas: list[Quota]) -> set[str]:
        keys: list[str] = []
        for quota in quotas:
            agents = [self._view.agents.cache[key].uid for key in agents_of(quota, self._view)]
            for _, limit in limits_of([quota], Enforcer.SIDECAR):
                keys += keys_of_quota(quota, limit, agents)
        state.buckets = {key: state.buckets[key] for key in keys if key in state.buckets}
        for gone in state.tallies.keys() - set(keys):
            del state.tallies[gone]
        before = dict(state.buckets)
        await self._read(namespace, state, keys)
        return {key for key in keys if state.buckets.get(key) != before.get(key)}

    async def _read(self, namespace: str, state: _Namespace, keys: list[str]) -> None:
        prefix = prefix_of(namespace)
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            answers = await self._servers.ask(namespace, [("HGETALL", prefix + key) for key in batch])
            for key, answer in zip(batch, answers, strict=True):
                if isinstance(answer, list) and answer and owner_of(key):
                    state.buckets[key] = Bucket.of(dict(zip(answer[::2], answer[1::2], strict=True)))
                else:
                    state.buckets.pop(key, None)

    def _tally(self, state: _Namespace, quotas: list[Quota], touched: set[str]) -> None:
        now = self._servers.now()
        for quota in quotas:
            for _, limit in limits_of([quota], Enforcer.SIDECAR):
                key = bucket_key(quota.metadata.uid, limit, SHARED)
                if key in touched and key in state.buckets:
                    state.tallies[key].see(state.buckets[key], limit, now)

    def _tell(self, touched: set[str]) -> None:
        owners = {owner.quota for key in touched if (owner := owner_of(key))}
        for uid in owners:
            for quota in self._view.quotas.keys_by(BY_UID, uid):
                self._on_use((quota[0], quota[1]))

    def _is_away(self, state: _Namespace) -> bool:
        since = state.answered_at if state.answered_at is not None else state.since
        return state.is_recovering or self._clock() - since > AWAY_SECONDS

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return where the quota's limits stand that sidecars keep, as of the last look."""
        state = self._namespaces.get(quota.metadata.namespace, _Namespace(self._clock()))
        now = self._servers.now()
        agents = [self._view.agents.cache[key] for key in agents_of(quota, self._view)]
        names = {record.uid: record.name for record in agents}
        found = {}
        for _, limit in limits_of([quota], Enforcer.SIDECAR):
            if limit.scope is Scope.SHARED:
                use = _shared(quota, limit, state, names, now)
            else:
                use = _per_agent(quota, limit, state, names, now)
            found[limit.id] = use if not self._is_away(state) else _away(use, state)
        return found


def _away(use: Use, state: _Namespace) -> Use:
    why = (
        "the counters are new or have lost something, and sidecars have yet to report"
        if state.is_recovering
        else "Redis does not answer"
    )
    message = f"{why}: until then onStoreUnavailable decides, and figures are as of the last look"
    return Use(
        used=use.used,
        per_agent=use.per_agent,
        resets_at=use.resets_at,
        refusals=use.refusals,
        refused_at=use.refused_at,
        refused_agent=use.refused_agent,
        trouble=(Reason.STORE_UNAVAILABLE, message),
    )


def _shared(quota: Quota, limit: Limit, state: _Namespace, names: Mapping[str, str], now: float) -> Use:
    key = bucket_key(quota.metadata.uid, limit, SHARED)
    bucket = state.buckets.get(key)
    if bucket is None:
        return Use(used=0.0)
    by_agent = state.tallies[key].used(limit, now)
    return Use(
        used=used_at(bucket, limit, now),
        per_agent={names[uid]: amount for uid, amount in by_agent.items() if uid in names},
        resets_at=_moment(free_at(bucket, limit, now)),
        refusals=bucket.refusals,
        refused_at=_moment(bucket.refused_at or None),
        refused_agent=names.get(bucket.refused_agent, ""),
    )


def _per_agent(quota: Quota, limit: Limit, state: _Namespace, names: Mapping[str, str], now: float) -> Use:
    found = {
        uid: bucket
        for uid in names
        if (bucket := state.buckets.get(bucket_key(quota.metadata.uid, limit, uid))) is not None
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
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)
