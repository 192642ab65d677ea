"""The pipeline's quota step: what a call costs is taken before the cache, what its backend costs before that is asked.

Where no limit holds for any of it, nothing is asked and nothing is made.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from ringfence_sidecar.call import Call, Deadline
from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.connectors.base import Effect, Prepared
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import CallError, DeadlineError, HurriedError, LimitedError
from ringfence_sidecar.grants import UNLIMITED, Grants
from ringfence_sidecar.holding import CONNECTIONS
from ringfence_sidecar.passage import Passage, Reserved
from ringfence_sidecar.quota import LEAST, SCANNED, Ask, Quota
from ringfence_sidecar.quota_metrics import QuotaMetrics

ONCE = frozenset({"queries", SCANNED, "messagesPublished"})
"""A stream asks for these with its first piece only."""
_WRITES = frozenset({Effect.WRITE, Effect.IDEMPOTENT})
_REST: Mapping[str, float] = {"apiCalls": 1, "concurrentCalls": 1}
_MCP: Mapping[str, float] = {**_REST, "toolCalls": 1}


class Metering:
    """Takes what calls cost, and notes it in their passages: whoever ends the call settles it."""

    def __init__(self, quota: Quota | None, metrics: QuotaMetrics) -> None:
        self._quota = quota
        self._metrics = metrics
        self._quotas: Mapping[str, str] = {}

    def apply(self, limits: Iterable[Limit]) -> None:
        """Know which quotas limit what, to name them."""
        names: dict[str, dict[str, None]] = {}
        kept: set[tuple[str, str]] = set()
        for limit in limits:
            names.setdefault(limit.resource, {})[limit.quota] = None
            kept.add((limit.quota, limit.resource))
        self._quotas = {resource: ", ".join(f"quota {each}" for each in found) for resource, found in names.items()}
        self._metrics.keep(kept)

    async def begin(self, passage: Passage, deadline: Deadline, work: Prepared | None = None) -> Grants:
        """Take what a call costs in itself, and what its backend costs if `work` says that no cache could answer.

        Raises LimitedError, and has taken nothing then.
        """
        if self._quota is None:
            return UNLIMITED
        amounts = calls_of(passage.call)
        return await self._take(passage, {**amounts, **work.estimate} if work else amounts, deadline, work)

    async def work(self, passage: Passage, prepared: Prepared, deadline: Deadline) -> Grants:
        """Take what the backend costs. Raises LimitedError, and has taken nothing then."""
        if self._quota is None:
            return UNLIMITED
        return await self._take(passage, prepared.estimate, deadline, prepared, is_piece=prepared.operation.streams)

    def can_renew(self, prepared: Prepared) -> bool:
        """Return True if a stream has to ask before each of its pieces."""
        quota = self._quota
        return quota is not None and any(quota.limits(each) for each in prepared.estimate if each not in ONCE)

    async def renew(self, passage: Passage, prepared: Prepared, deadline: Deadline) -> Grants:
        """Take what a stream's next piece costs. Raises LimitedError, and has taken nothing then."""
        amounts = {each: amount for each, amount in prepared.estimate.items() if each not in ONCE}
        return await self._take(passage, amounts, deadline, prepared, is_piece=True)

    async def _take(
        self,
        passage: Passage,
        amounts: Mapping[str, float],
        deadline: Deadline,
        prepared: Prepared | None,
        *,
        is_piece: bool = False,
    ) -> Grants:
        quota = self._quota
        assert quota is not None  # noqa: S101 - its callers look
        least: dict[str, float] = {}
        asked = {each: amount for each, amount in amounts.items() if amount > 0 and quota.limits(each)}
        if prepared and "querySeconds" in amounts and quota.limits("credits"):
            asked["credits"] = amounts["querySeconds"] * self._rate(prepared)
            least["credits"] = LEAST["querySeconds"] * self._rate(prepared)
        if not asked:
            return UNLIMITED
        writes = prepared is not None and prepared.effect in _WRITES
        begun = time.monotonic()
        try:
            reservation = await quota.reserve(Ask(amounts=asked, least=least, writes=writes, deadline=deadline))
        except LimitedError as error:
            self._metrics.refused(error)
            raise
        finally:
            # Not now: the answer would wait for it.
            asyncio.get_running_loop().call_soon(self._metrics.waited, time.monotonic() - begun)
        passage.reservations.append(Reserved(reservation, asked, is_piece))
        self.warn(passage, reservation.warnings)
        short = {each for each, amount in reservation.grants.items() if amount < asked.get(each, 0)}
        grants = Grants(reservation.grants, short=short, quotas=self._quotas, held=reservation)
        if "credits" not in reservation.grants or prepared is None:
            return grants
        seconds = reservation.grants["credits"] / self._rate(prepared)
        if seconds >= grants.most("querySeconds", math.inf):
            return grants
        return replace(grants, amounts={**reservation.grants, "querySeconds": seconds}, timed_by="credits")

    def _rate(self, prepared: Prepared) -> float:
        """Return what a second costs at the dearest endpoint that may serve it. Raises LimitedError if nobody knows."""
        if not prepared.credits_per_second:
            raise LimitedError(
                f"{self._quotas.get('credits', 'a quota')} limits credits, and the Connector does not say what its "
                "warehouses cost: write creditsPerHour at each endpoint",
                code="CreditsUnknown",
                rule="credits",
                retryable=False,
            )
        return max(prepared.credits_per_second.values())

    def late(self, error: DeadlineError | HurriedError, grants: Grants) -> CallError:
        """Return the error of a call whose time was over: a quota's, if that was what left it no longer."""
        if not grants.is_short(grants.timed_by):
            return error
        return LimitedError(
            f"{grants.said(grants.timed_by)}, and it would have taken longer",
            rule=grants.timed_by,
            outcome_unknown=error.outcome_unknown,
            retryable=error.is_retryable,
        )

    def explain(self, error: CallError) -> None:
        """Say which limit it was of a call that ran into what it was granted: `rule` is the resource, then.

        It counts as refused by then, and one that got no connection by now: it might have got another's.
        """
        if self._quota is None or not isinstance(error, LimitedError):
            return
        if error.details:
            if error.details.get("resource") == CONNECTIONS:
                self._count(error)
            return
        standing = [each for each in self._quota.known() if each.resource == error.rule]
        if standing:
            tightest = min(standing, key=lambda each: each.remaining)
            error.details = msgspec.structs.asdict(tightest)
            error.retry_after = tightest.reset_seconds
            self._count(error)

    def _count(self, error: LimitedError) -> None:
        self._metrics.refused(error)
        if self._quota is not None:
            self._quota.refused(error)

    def warn(self, passage: Passage, warnings: Iterable[Notice]) -> None:
        """Pass on what limits that only warn have to say, each once in a call, and count it."""
        for each in warnings:
            if each not in passage.warnings:
                passage.warnings.append(each)
                self._metrics.warned(each)


def calls_of(call: Call) -> Mapping[str, float]:
    """Return what a call costs whether a backend is asked for it or not."""
    return _MCP if call.protocol == "mcp" else _REST
