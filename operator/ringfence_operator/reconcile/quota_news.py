"""What of a Quota is worth an Event: use that comes to a `warnAt`, and a limit that refuses; both bounded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Enforcement, Scope
from ringfence_operator.api.quota_status import LimitStatus, QuotaStatus
from ringfence_operator.reconcile.quota_figures import SECONDS, describe, row_of_agent
from ringfence_operator.reconcile.quota_marks import Fresh
from ringfence_operator.reconcile.quota_use import Use

LEAST_SILENCE_SECONDS = 600
"""Of what has been told nothing is told again for the length of the window, and for so long at least."""
MOST_AT_ONCE = 25
"""So many Events of one limit at most are written at one time."""
MOST_UNTOLD = 100
"""Of so many things that could not be told of a quota it is remembered."""

MOST_TOLD = 1_000
"""Of so many things that were told of a quota it is remembered: its agents come and go."""

WARNING: Final = "QuotaWarning"
REFUSED: Final = "QuotaRefused"

Id = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell: a reason in one word, and a sentence."""

    reason: str
    message: str
    limit: Id
    """Of which limit: resource, window and scope."""
    count: int = 1
    """Of how many agents and percentages it tells."""


@dataclass(slots=True)
class Teller:
    """Remembers what was told, for each quota, and what is still to be told."""

    _told: dict[tuple[str, str], dict[tuple[Id, str], datetime]] = field(default_factory=dict)
    _untold: dict[tuple[str, str], list[News]] = field(default_factory=dict)

    def news(
        self,
        quota: Quota,
        after: QuotaStatus,
        uses: Mapping[str, Use],
        fresh: Mapping[str, Fresh],
        *,
        now: datetime,
    ) -> list[News]:
        """Return what of `fresh` was not told lately, in the words of the status `after`."""
        found: list[News] = []
        for limit, row in zip(quota.spec.limits, after.limits, strict=True):
            each = fresh.get(limit.id)
            if each is None or each.is_nothing:
                continue
            news = _news(limit, row, uses.get(limit.id), each)
            found += _bounded([it for what, it in news if self._is_new(quota.key, (_id(row), what), row, now)])
        return found

    def keep(self, quota: tuple[str, str], news: News) -> None:
        """It could not be told; `untold` returns it."""
        kept = self._untold.setdefault(quota, [])
        kept.append(news)
        del kept[:-MOST_UNTOLD]

    def untold(self, quota: tuple[str, str]) -> list[News]:
        """Return what was kept, which is not kept any longer."""
        return self._untold.pop(quota, [])

    def has_untold(self, quota: tuple[str, str]) -> bool:
        """Return True if something was kept."""
        return quota in self._untold

    def forget(self, quota: tuple[str, str]) -> None:
        """The quota is gone."""
        self._told.pop(quota, None)
        self._untold.pop(quota, None)

    def _is_new(self, quota: tuple[str, str], what: tuple[Id, str], row: LimitStatus, now: datetime) -> bool:
        told = self._told.setdefault(quota, {})
        if len(told) > MOST_TOLD:
            del told[min(told, key=lambda each: told[each])]
        silence = timedelta(seconds=max(LEAST_SILENCE_SECONDS, SECONDS.get(row.window, 0)))
        last = told.get(what)
        if last is not None and now - last < silence:
            return False
        told[what] = now
        return True


def _id(row: LimitStatus) -> Id:
    return row.resource.value, row.window.value, row.scope.value


def _news(limit: Limit, row: LimitStatus, use: Use | None, fresh: Fresh) -> Iterable[tuple[str, News]]:
    """Yield what there is to tell, each with the word that it is remembered by.

    Of limits that each agent has to itself, each agent's is news.
    """
    is_each = limit.scope is Scope.PER_AGENT
    for told in fresh.warned:
        of = f" by agent {told.agent}" if told.agent else ""
        words = f"{describe(row_of_agent(row, use, told.agent))}: {told.percent} % is reached{of}"
        yield f"warned {told.percent} {told.agent if is_each else ''}", News(WARNING, words, _id(row))
    if limit.enforcement is Enforcement.WARN:
        return
    for agent, _ in fresh.refused:
        words = f"{describe(row_of_agent(row, use, agent))}: refused agent {agent}"
        yield f"refused {agent}" if is_each else "refused", News(REFUSED, words, _id(row))


def _bounded(news: list[News]) -> list[News]:
    """Return the first of them, and one that says how many more there are: each Event is a write."""
    if len(news) <= MOST_AT_ONCE:
        return news
    first, rest = news[: MOST_AT_ONCE - 2], news[MOST_AT_ONCE - 2 :]
    for reason in (WARNING, REFUSED):
        more = [each for each in rest if each.reason == reason]
        if more:
            words = f"{more[0].message}, and {len(more) - 1} more of this limit at the same time"
            first.append(News(reason, words if len(more) > 1 else more[0].message, more[0].limit, len(more)))
    return first
