"""What sidecars count of quotas in Redis, read while this replica leads: what was touched, now and then all of it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import structlog

from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import Enforcer, Scope
from ringfence_operator.egress.quota_buckets import (
    EPOCH,
    OF_AGENT,
    SHARED,
    TOUCHED,
    Bucket,
    bucket_key,
    keys_of_quota,
    owner_of,
    row_of,
)
from ringfence_operator.egress.quota_counters import Counters
from ringfence_operator.egress.quota_holders import OF_ALL, Held, read_holders
from ringfence_operator.egress.quota_reap import reap_command
from ringfence_operator.egress.quota_servers import QuotaServers
from ringfence_operator.egress.redis_place import RedisPlace, prefix_of
from ringfence_operator.egress.resp import RefusedError
from ringfence_operator.reconcile.quota_index import BY_UID
from ringfence_operator.reconcile.quota_use import OnUse, Use
from ringfence_operator.reconcile.quotas import agents_of, limits_of
from ringfence_operator.reconcile.view import BY_NAMESPACE, View

LOOK_SECONDS = 5.0
"""How often it is asked what was touched."""
FULL_SECONDS = 600.0
"""How often everything is read: what nobody touches changes by time alone, but agents and quotas go."""
_BATCH = 500
_MOST_BATCHES = 20
"""Of one look; what is left is taken by the next."""

log = structlog.get_logger()


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
        is_leading: Callable[[], bool] = lambda: True,
    ) -> None:
        self._view: Final = view
        self._servers: Final = QuotaServers(place, clock)
        self._on_use: Final = on_use
        self._clock: Final = clock
        self._look_seconds: Final = look_seconds
        self._is_leading: Final = is_leading
        self._namespaces: dict[str, Counters] = {}
        self._refusals: defaultdict[str, int] = defaultdict(int)
        """By `row_of` a limit's buckets, how often they were seen to refuse."""

    async def run(self) -> None:
        """Read until cancelled, beginning with all there is."""
        self._namespaces.clear()
        try:
            while True:
                for namespace, quotas in self._limited().items():
                    await self._look(namespace, quotas)
                await self._servers.ask_again()
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
        state = self._namespaces.setdefault(namespace, Counters(now))
        try:
            if any(bucket.granted for bucket in state.buckets.values()):
                await self._reap(namespace)
            touched = await self._news(namespace, state)
            if state.read_at is None or now - state.read_at > FULL_SECONDS:
                touched |= await self._read_all(namespace, state, quotas)
                await self._fold(namespace, state)
                is_first, state.read_at, state.is_known = not state.is_known, now, True
                if is_first:
                    self._tell_all(quotas)
            else:
                await self._read(namespace, state, sorted(touched))
            if any(key.endswith(OF_ALL) for key in touched):
                state.holders = await self._holders(namespace)
            state.answered_at = now
            self._tally(state, quotas, touched)
        except OSError as error:
            # What was taken out of the set and not read is read again with everything.
            state.read_at = None
            log.debug("quota_store.away", namespace=namespace, error=type(error).__name__)
            touched = set()
        state.evicts = self._servers.evicts(namespace)
        trouble = state.trouble(self._clock())
        if trouble != state.told:
            state.told = trouble
            self._tell_all(quotas)
        self._tell(touched)

    async def _reap(self, namespace: str) -> None:
        # An administrator that may not: sidecars do it when they are called.
        with suppress(RefusedError):
            await self._servers.ask(namespace, [reap_command(prefix_of(namespace))])

    async def _holders(self, namespace: str) -> Held:
        async def ask(commands: list[tuple[str, ...]]) -> list[Any]:
            return await self._servers.ask(namespace, commands)

        return await read_holders(ask, prefix_of(namespace))

    async def _news(self, namespace: str, state: Counters) -> set[str]:
        """Return the buckets that were touched, without the prefix; look at the epoch besides."""
        prefix, touched = prefix_of(namespace), set[str]()
        for _ in range(_MOST_BATCHES):
            if not self._is_leading():
                # Whoever leads now would never hear of what is taken here.
                raise ConnectionAbortedError("this replica does not hold the Lease")
            epoch, taken = await self._servers.ask(
                namespace,
                [("HMGET", prefix + EPOCH, "id", "state"), ("SPOP", prefix + TOUCHED, str(_BATCH))],
            )
            self._see_epoch(state, epoch)
            touched |= {str(each).removeprefix(prefix) for each in taken or ()}
            if len(taken or ()) < _BATCH:
                break
        return touched

    def _see_epoch(self, state: Counters, said: Any) -> None:
        epoch, is_recovering = (said[0] or "", said[1] == "recovering") if said else ("", False)
        if state.epoch is not None and epoch != state.epoch:
            state.read_at = None
        state.epoch, state.is_recovering = epoch, is_recovering

    async def _read_all(self, namespace: str, state: Counters, quotas: list[Quota]) -> set[str]:
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

    async def _read(self, namespace: str, state: Counters, keys: list[str]) -> None:
        prefix = prefix_of(namespace)
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            answers = await self._servers.ask(namespace, [("HGETALL", prefix + key) for key in batch])
            for key, answer in zip(batch, answers, strict=True):
                owner = owner_of(key)
                is_there = isinstance(answer, list) and answer and owner is not None
                bucket = Bucket.of(dict(zip(answer[::2], answer[1::2], strict=True))) if is_there else None
                grown = state.put(key, bucket)
                if owner and grown and self._view.quotas.keys_by(BY_UID, owner.quota):
                    self._refusals[row_of(key)] += grown

    async def _fold(self, namespace: str, state: Counters) -> None:
        """Keep what agents that are gone used of shared limits in one field, or there would be one of each for ever."""
        prefix = prefix_of(namespace)
        there = {self._view.agents.cache[key].uid for key in self._view.agents.keys_by(BY_NAMESPACE, namespace)}
        for key, bucket in list(state.buckets.items()):
            gone = sorted(bucket.totals.keys() - there - {""})
            for start in range(0, len(gone), _BATCH):
                batch = gone[start : start + _BATCH]
                amount = sum(bucket.totals[uid] for uid in batch)
                commands = [
                    ("HDEL", prefix + key, *(OF_AGENT + uid for uid in batch)),
                    ("HINCRBYFLOAT", prefix + key, OF_AGENT, f"{amount:.6f}"),
                ]
                await self._servers.ask(namespace, commands)
            if gone:
                await self._read(namespace, state, [key])

    def _tally(self, state: Counters, quotas: list[Quota], touched: set[str]) -> None:
        now = self._servers.now()
        for quota in quotas:
            for _, limit in limits_of([quota], Enforcer.SIDECAR):
                key = bucket_key(quota.metadata.uid, limit, SHARED)
                if key in touched and key in state.buckets:
                    state.tallies[key].see(state.buckets[key], limit, now)

    def _tell_all(self, quotas: list[Quota]) -> None:
        for quota in quotas:
            self._on_use(quota.key)

    def _tell(self, touched: set[str]) -> None:
        owners = {owner.quota for key in touched if (owner := owner_of(key))}
        for uid in owners:
            for quota in self._view.quotas.keys_by(BY_UID, uid):
                self._on_use((quota[0], quota[1]))

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return where the quota's limits stand that sidecars keep, as of the last look."""
        state = self._namespaces.get(quota.metadata.namespace, Counters(self._clock()))
        now = self._servers.now()
        agents = [self._view.agents.cache[key] for key in agents_of(quota, self._view)]
        names = {record.uid: record.name for record in agents}
        trouble, found = state.trouble(self._clock()), {}
        for _, limit in limits_of([quota], Enforcer.SIDECAR):
            row = row_of(bucket_key(quota.metadata.uid, limit, SHARED if limit.scope is Scope.SHARED else ""))
            use = state.use(quota, limit, names, now)
            found[limit.id] = replace(use, seen_refusals=self._refusals[row], trouble=trouble)
        return found
