"""One pass over a Quota: whom it holds for, what is used of it, then its status and what is worth telling."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_status import QuotaStatus
from ringfence_operator.errors import ForbiddenError, InvalidError, KubeError, NotFoundError
from ringfence_operator.reconcile.events import build_news
from ringfence_operator.reconcile.limit_push import push_limits
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.quota_figures import ratio_of
from ringfence_operator.reconcile.quota_knowledge import share_of
from ringfence_operator.reconcile.quota_marks import Marks
from ringfence_operator.reconcile.quota_news import WARNING, News, Teller
from ringfence_operator.reconcile.quota_status import Found, quota_status
from ringfence_operator.reconcile.quota_use import LimitSource, Use
from ringfence_operator.reconcile.quotas import Key, agents_of, has_live_pod, sharing
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.view import View

WRITE_SECONDS = 10.0
"""How often at most a status is written."""
LOOKED_SECONDS = 10.0
"""How long a changed quota waits to hear from its agents' passes, which find out what their pods do not have of it."""
AGAIN_SECONDS = 0.5
"""How soon it looks whether they have been there; that costs no write."""
LARGER_SECONDS = 30.0
"""Shares grow when the counters could be read for so long: longer than it takes to see that they cannot."""

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
    unheard: dict[Key, datetime] = field(default_factory=dict)
    """Since when a changed quota waits for its agents' passes."""
    sidecars: Sidecars | None = None
    pushed: dict[Key, tuple[str, int]] = field(default_factory=dict)
    """Which quota, and which generation of it, sidecars were told last."""
    seen_refusals: dict[Key, dict[str, int]] = field(default_factory=dict)
    """What `Use.seen_refusals` of each limit, by its id, was then."""
    teller: Teller = field(default_factory=Teller)
    marks: Marks = field(default_factory=Marks)


async def reconcile_quota(quota: Quota, tools: QuotaTools, *, now: datetime) -> float | None:
    """Report where `quota` stands. Safe to run at any time, any number of times.

    Returns the seconds after which to look again, if time alone will change something.
    """
    if quota.metadata.deletion_timestamp is not None:
        return None
    agents = agents_of(quota, tools.view)
    uses = tools.view.lags.told(quota, agents, _uses(quota, tools))
    waits_to_share = _share_out(quota, agents, uses, tools, now=now)
    await _push(quota, agents, tools)
    seen = tools.seen_refusals.get(quota.key, {})
    fresh = tools.marks.fresh(quota, uses, now=now)
    found = Found(len(agents), uses, tools.view.run_times.said(quota), seen, fresh)
    status = quota_status(quota, found, now=now)
    _measure(quota, status, uses, tools)
    await _tell(quota, tools.teller.untold(quota.key), tools, now=now)
    again = _soonest(_next_look(status, now), waits_to_share)
    if status == quota.status:
        await _tell_fresh(quota, status, found, tools, now=now)
        return _or_untold(again, quota, tools)
    told = tools.told.get(quota.key)
    wait = WRITE_SECONDS - (now - told).total_seconds() if told else 0.0
    wait = max(wait, _seconds_to_hear(quota, agents, tools, now=now))
    if wait > 0:
        return _soonest(wait, again)
    if await _report(quota, status, found, tools, now=now):
        tools.seen_refusals[quota.key] = {limit: use.seen_refusals for limit, use in uses.items()}
    return _or_untold(again, quota, tools)


def _seconds_to_hear(quota: Quota, agents: set[Key], tools: QuotaTools, *, now: datetime) -> float:
    """Return how long to wait before a changed quota says that it is kept, which its agents' pods may contradict."""
    view = tools.view
    is_told = quota.status.observed_generation == quota.metadata.generation
    if is_told or view.lags.is_known(quota, (key for key in agents if has_live_pod(key, view))):
        tools.unheard.pop(quota.key, None)
        return 0.0
    left = LOOKED_SECONDS - (now - tools.unheard.setdefault(quota.key, now)).total_seconds()
    return min(left, AGAIN_SECONDS)


def remove_quota(namespace: str, name: str, tools: QuotaTools) -> None:
    """Forget a quota that is gone."""
    key = (namespace, name)
    tools.told.pop(key, None)
    tools.unheard.pop(key, None)
    tools.pushed.pop(key, None)
    tools.seen_refusals.pop(key, None)
    tools.teller.forget(key)
    tools.marks.forget(key)
    tools.view.quota_knowledge.forget(key)
    tools.view.memory.forget(key)
    tools.view.node_kills.forget(key)
    tools.view.places.forget(key)


def _share_out(
    quota: Quota, agents: set[Key], uses: Mapping[str, Use], tools: QuotaTools, *, now: datetime
) -> float | None:
    """Have the quota's agents told among how many pods it is shared out, where that is other than they were told.

    A pod that is gone may have used its share of what was left as the counters went away: nobody else is given it
    before they have been there for a while since. Returns the seconds until then.
    """
    knowledge, share = tools.view.quota_knowledge, share_of(sharing(agents, tools.view))
    before = knowledge.shares.get(quota.key, share)
    if share < before:
        if any(use.trouble and use.trouble[0] is Reason.STORE_UNAVAILABLE for use in uses.values()):
            knowledge.larger_since.pop(quota.key, None)
            return LARGER_SECONDS
        wait = LARGER_SECONDS - (now - knowledge.larger_since.setdefault(quota.key, now)).total_seconds()
        if wait > 0:
            return wait
    knowledge.larger_since.pop(quota.key, None)
    knowledge.shares[quota.key] = share
    if before != share:
        tools.wake(agents)
    return None


async def _push(quota: Quota, agents: set[Key], tools: QuotaTools) -> None:
    version = quota.metadata.uid, quota.metadata.generation
    if tools.sidecars is not None and tools.pushed.get(quota.key) != version:
        tools.pushed[quota.key] = version
        await push_limits(agents, tools.view, tools.sidecars)


def _uses(quota: Quota, tools: QuotaTools) -> dict[str, Use]:
    found: dict[str, Use] = {}
    for source in tools.sources:
        found |= source.uses(quota)
    return found


def _measure(quota: Quota, status: QuotaStatus, uses: Mapping[str, Use], tools: QuotaTools) -> None:
    knowledge = tools.view.quota_knowledge
    rows = {(row.resource.value, row.window.value, row.scope.value): row for row in status.limits}
    knowledge.used[quota.key] = {
        key: ratio_of(row, uses.get("/".join(key))) for key, row in rows.items() if row.used is not None
    }
    knowledge.refusals[quota.key] = {key: row.refusals for key, row in rows.items() if row.refusals}


def _next_look(status: QuotaStatus, now: datetime) -> float | None:
    """Return when something of what is used is free again, if anything is: nobody else will say so."""
    ends = [(row.resets_at - now).total_seconds() for row in status.limits if row.resets_at is not None]
    return max(WRITE_SECONDS, min(ends)) if ends else None


async def _report(quota: Quota, status: QuotaStatus, found: Found, tools: QuotaTools, *, now: datetime) -> bool:
    """Tell what is news in the status and write it; returns False if the quota is gone.

    In this order: what is told twice, by an operator that ends in between, is better than what nobody is told.
    """
    await _tell_news(quota, status, found, tools, now=now)
    try:
        answer = await report(quota, status, kube=tools.kube, now=now)
    except NotFoundError:
        return False
    tools.view.quotas.store(answer, wakes=False)
    tools.told[quota.key] = now
    stored = tools.view.quotas.get(*quota.key)
    if stored is not None:
        tools.marks.settle(stored, found.uses)
    return True


async def _tell_fresh(quota: Quota, status: QuotaStatus, found: Found, tools: QuotaTools, *, now: datetime) -> None:
    """Tell what is news though the status says the same: in its words, that was in the second of the news before."""
    if not all(each.is_nothing for each in found.fresh.values()):
        await _tell_news(quota, status, found, tools, now=now)
        tools.marks.settle(quota, found.uses)


async def _tell_news(quota: Quota, status: QuotaStatus, found: Found, tools: QuotaTools, *, now: datetime) -> None:
    news = tools.teller.news(quota, status, found.uses, found.fresh, now=now)
    for each in news:
        if each.reason == WARNING:
            tools.view.quota_knowledge.warn(quota.key, each.limit, each.count)
    await _tell(quota, news, tools, now=now)


def _or_untold(again: float | None, quota: Quota, tools: QuotaTools) -> float | None:
    return _soonest(again, WRITE_SECONDS if tools.teller.has_untold(quota.key) else None)


def _soonest(*waits: float | None) -> float | None:
    return min((each for each in waits if each is not None), default=None)


async def _tell(quota: Quota, found: Iterable[News], tools: QuotaTools, *, now: datetime) -> None:
    """Write an Event of each; the next pass writes those that the API server does not take now."""
    for news in found:
        unique = f"{random.getrandbits(64):016x}"
        event = build_news(quota, news.reason, news.message, is_warning=True, now=now, unique=unique)
        try:
            await tools.kube.create(path(CORE, quota.metadata.namespace, "events"), event)
        except (ForbiddenError, InvalidError, NotFoundError) as error:
            log.warning("event.lost", reason=news.reason, error=str(error))
        except KubeError as error:
            log.info("event.delayed", reason=news.reason, error=str(error))
            tools.teller.keep(quota.key, news)
