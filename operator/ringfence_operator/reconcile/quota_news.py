"""What of a Quota is worth an Event: use that comes to a `warnAt`, and a limit that refuses; both bounded."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ringfence_operator.api.quota import LimitStatus, Quota, QuotaStatus
from ringfence_operator.api.quota_matrix import Enforcement
from ringfence_operator.reconcile.quota_figures import SECONDS, describe

LEAST_SILENCE_SECONDS = 600
"""Of what has been told nothing is told again for the length of the window, and for so long at least."""

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
    """Remembers what was told, for each quota."""

    _told: dict[tuple[str, str], dict[tuple[Id, str], datetime]] = field(default_factory=dict)

    def news(self, quota: Quota, after: QuotaStatus, *, now: datetime) -> list[News]:
        """Return what `after` says that the status before did not, and that was not told lately."""
        before = {_id(each): each for each in quota.status.limits}
        hard = {
            (each.resource.value, each.window.value, each.scope.value)
            for each in quota.spec.limits
            if each.enforcement is not Enforcement.WARN
        }
        found = []
        for row in after.limits:
            had = before.get(_id(row))
            for what, news in _differences(had, row, refuses=_id(row) in hard):
                if self._is_new(quota.key, (_id(row), what), row, now):
                    found.append(news)
        return found

    def forget(self, quota: tuple[str, str]) -> None:
        """The quota is gone."""
        self._told.pop(quota, None)

    def _is_new(self, quota: tuple[str, str], what: tuple[Id, str], row: LimitStatus, now: datetime) -> bool:
        told = self._told.setdefault(quota, {})
        silence = timedelta(seconds=max(LEAST_SILENCE_SECONDS, SECONDS.get(row.window, 0)))
        last = told.get(what)
        if last is not None and now - last < silence:
            return False
        told[what] = now
        return True


def _id(row: LimitStatus) -> Id:
    return row.resource.value, row.window.value, row.scope.value


def _differences(before: LimitStatus | None, after: LimitStatus, *, refuses: bool) -> Iterable[tuple[str, News]]:
    """Yield what is other, each with the word that it is remembered by."""
    if after.warned > (before.warned if before else 0):
        of = f" by agent {after.top_agents[0].name}" if after.top_agents else ""
        yield f"warned {after.warned}", News(WARNING, f"{describe(after)}: {after.warned} % is reached{of}", _id(after))
    last, had = after.last_refusal, before.last_refusal if before else None
    if refuses and last is not None and (had is None or last.time > had.time):
        yield "refused", News(REFUSED, f"{describe(after)}: refused agent {last.agent}", _id(after))
