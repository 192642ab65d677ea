"""One pass over a Quota: whom it holds for, what is used of it, then its status and what is worth telling."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from ringfence_operator.api.quota import Quota, QuotaStatus
from ringfence_operator.errors import KubeError, NotFoundError
from ringfence_operator.reconcile.events import build_news
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.quota_figures import ratio_of
from ringfence_operator.reconcile.quota_knowledge import share_of
from ringfence_operator.reconcile.quota_news import WARNING, News, Teller
from ringfence_operator.reconcile.quota_status import Found, quota_status
from ringfence_operator.reconcile.quota_use import LimitSource, Use
from ringfence_operator.reconcile.quotas import Key, agents_of
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.view import View

WRITE_SECONDS = 10.0
"""How often at most a status is written."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class QuotaTools:
    """What a pass over a quota works with."""

    view: View
    kube: Kube
    sources: tuple[LimitSource, ...] = ()
    """The parts of the system that keep limits; of two that know of one limit, the later is believed."""
    wake: Callable[[Iterable[Key]], None] = lambda _: None
    """Has these agents looked at, though nobody waits for it."""
    told: dict[Key, datetime] = field(default_factory=dict)
    """When a status was last written."""
    seen_refusals: dict[Key, dict[str, int]] = field(default_factory=dict)
    """What `Use.seen_refusals` of each limit, by its id, was then."""
    teller: Teller = field(default_factory=Teller)


async def reconcile_quota(quota: Quota, tools: QuotaTools, *, now: datetime) -> float | None:
    """Report where `quota` stands. Safe to run at any time, any number of times.

    Returns the seconds after which to look again, if time alone will change something.
    """
    if quota.metadata.deletion_timestamp is not None:
        return None
    agents = agents_of(quota, tools.view)
    _share_out(quota, agents, tools)
    uses = tools.view.lags.told(quota, agents, _uses(quota, tools))
    seen = tools.seen_refusals.get(quota.key, {})
    status = quota_status(quota, Found(len(agents), uses, tools.view.run_times.said(quota), seen), now=now)
    _measure(quota, status, tools)
    again = _next_look(status, now)
    if status == quota.status:
        return again
    told = tools.told.get(quota.key)
    wait = WRITE_SECONDS - (now - told).total_seconds() if told else 0.0
    if wait > 0:
        return wait if again is None else min(wait, again)
    if await _report(quota, status, tools, now=now):
        tools.seen_refusals[quota.key] = {limit: use.seen_refusals for limit, use in uses.items()}
    return again


def remove_quota(namespace: str, name: str, tools: QuotaTools) -> None:
    """Forget a quota that is gone."""
    key = (namespace, name)
    tools.told.pop(key, None)
    tools.seen_refusals.pop(key, None)
    tools.teller.forget(key)
    tools.view.quota_knowledge.forget(key)
    tools.view.memory.forget(key)
    tools.view.places.forget(key)


def _share_out(quota: Quota, agents: set[Key], tools: QuotaTools) -> None:
    """Have the quota's agents told among how many it is shared out, where that is other than they were told."""
    shares, share = tools.view.quota_knowledge.shares, share_of(len(agents))
    before = shares.get(quota.key)
    shares[quota.key] = share
    if before is not None and before != share:
        tools.wake(agents)


def _uses(quota: Quota, tools: QuotaTools) -> dict[str, Use]:
    found: dict[str, Use] = {}
    for source in tools.sources:
        found |= source.uses(quota)
    return found


def _measure(quota: Quota, status: QuotaStatus, tools: QuotaTools) -> None:
    knowledge = tools.view.quota_knowledge
    rows = {(row.resource.value, row.window.value, row.scope.value): row for row in status.limits}
    knowledge.used[quota.key] = {key: ratio_of(row) for key, row in rows.items() if row.used is not None}
    knowledge.refusals[quota.key] = {key: row.refusals for key, row in rows.items() if row.refusals}


def _next_look(status: QuotaStatus, now: datetime) -> float | None:
    """Return when something of what is used is free again, if anything is: nobody else will say so."""
    ends = [(row.resets_at - now).total_seconds() for row in status.limits if row.resets_at is not None]
    return max(WRITE_SECONDS, min(ends)) if ends else None


async def _report(quota: Quota, status: QuotaStatus, tools: QuotaTools, *, now: datetime) -> bool:
    """Write the status and tell what is news in it; returns False if the quota is gone."""
    try:
        answer = await report(quota, status, kube=tools.kube, now=now)
    except NotFoundError:
        return False
    tools.view.quotas.store(answer, wakes=False)
    tools.told[quota.key] = now
    for news in tools.teller.news(quota, status, now=now):
        if news.reason == WARNING:
            tools.view.quota_knowledge.warn(quota.key, news.limit)
        await _tell(quota, news, tools.kube, now=now)
    return True


async def _tell(quota: Quota, news: News, kube: Kube, *, now: datetime) -> None:
    event = build_news(
        quota, news.reason, news.message, is_warning=True, now=now, unique=f"{random.getrandbits(64):016x}"
    )
    try:
        await kube.create(path(CORE, quota.metadata.namespace, "events"), event)
    except KubeError as error:
        log.warning("event.lost", reason=news.reason, error=str(error))
