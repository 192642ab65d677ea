"""Counts the time of pods every few seconds, and has those ended whose quota has none left."""

from collections.abc import Callable
from datetime import datetime

from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import Enforcement, Scope
from ringfence_operator.reconcile.clock import utc_now
from ringfence_operator.reconcile.pod_index import BY_POD_QUOTA
from ringfence_operator.reconcile.run_time import second_limits
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.run_time import Frame, total

INTERVAL = 5.0
_EACH_TURNS = 12
"""What each agent has used is told once in so many turns."""


class RunTimeWatch:
    """The leader's clock for limits on pods' seconds."""

    def __init__(
        self,
        view: View,
        *,
        on_use: Callable[[tuple[str, str]], None],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._view = view
        self._on_use = on_use
        self._clock = clock
        self._turn = 0

    def look(self) -> None:
        """Count up to now."""
        view, now = self._view, self._clock()
        quotas = list(view.quotas.cache.values())
        for quota in view.run_times.settle(quotas, now):
            self._on_use(quota.key)
        for quota in quotas:
            if self._is_spent(quota, now):
                for key in list(view.pods.keys_by(BY_POD_QUOTA, (*quota.key, True))):
                    view.places.wake(key)
            if self._turn == 0 and second_limits([quota], Scope.PER_AGENT):
                self._on_use(quota.key)
        self._turn = (self._turn + 1) % _EACH_TURNS

    def _is_spent(self, quota: Quota, now: datetime) -> bool:
        for _, limit in second_limits([quota], Scope.SHARED):
            frame = Frame.of(limit)
            slots = self._view.run_times.slots(quota, frame, now)
            is_all = total(slots, frame, now.timestamp()) >= float(parse_quantity(limit.max))
            if limit.enforcement is Enforcement.HARD and is_all:
                return True
        return False
