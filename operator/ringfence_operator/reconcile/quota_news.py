"""What of a Quota is worth an Event: use that comes to a `warnAt`, and a limit that refuses; both bounded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import Enforcement, Scope
from ringfence_operator.api.quota_status import LimitStatus, QuotaStatus
from ringfence_operator.reconcile.quota_figures import SECONDS, describe

LEAST_SILENCE_SECONDS = 600
"""Of what has been told nothing is told again for the length of the window, and for so long at least."""
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


@dataclass(slots=True)
class Teller:
    """Remembers what was told, for each quota, and what is still to be told."""

    _told: dict[tuple[str, str], dict[tuple[Id, str], datetime]] = field(default_factory=dict)
    _untold: dict[tuple[str, str], list[News]] = field(default_factory=dict)

    def news(self, quota: Quota, after: QuotaStatus, *, now: datetime) -> list[News]:
        """Return what `after` says that the status before did not, and that was not told lately."""
        before = {_id(each): each for each in quota.status.limits}
        hard = {
            (each.resource.value, each.window.value, each.scope.value)
            for each in quota.spec.limits
            if each.enforcement is not Enforcement.WARN
        }
        found = []
        for row in _steps(quota, before, after):
            had = before.get(_id(row))
            for what, news in _differences(had, row, refuses=_id(row) in hard):
                if self._is_new(quota.key, (_id(row), what), row, now):
                    found.append(news)
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


def _steps(quota: Quota, before: Mapping[Id, LimitStatus], after: QuotaStatus) -> Iterable[LimitStatus]:
    """Yield each row as it would have been at each `warnAt` that it has passed since, and as it is."""
    warn_at = {(it.resource.value, it.window.value, it.scope.value): it.warn_at for it in quota.spec.limits}
    for row in after.limits:
        had, told = before.get(_id(row)), row.last_warning
        said = had.last_warning if had else None
        if told is not None and told != said:
            is_anothers = row.scope is Scope.PER_AGENT and said is not None and said.agent != told.agent
            passed = had.warned if had and not is_anothers else 0
            for percent in sorted(warn_at.get(_id(row), ())):
                if passed < percent < told.percent:
                    yield row.model_copy(update={"last_warning": told.model_copy(update={"percent": percent})})
        yield row


def _differences(before: LimitStatus | None, after: LimitStatus, *, refuses: bool) -> Iterable[tuple[str, News]]:
    """Yield what is other, each with the word that it is remembered by."""
    told, said = after.last_warning, before.last_warning if before else None
    if told is not None and (said is None or told.time > said.time):
        of = f" by agent {told.agent}" if told.agent else ""
        # Of limits that each agent has to itself, each agent's is news.
        whose = told.agent if after.scope is Scope.PER_AGENT else ""
        yield (
            f"warned {told.percent} {whose}",
            News(WARNING, f"{describe(after)}: {told.percent} % is reached{of}", _id(after)),
        )
    last, had = after.last_refusal, before.last_refusal if before else None
    if refuses and last is not None and (had is None or last.time > had.time):
        yield "refused", News(REFUSED, f"{describe(after)}: refused agent {last.agent}", _id(after))
