"""What is left of the seconds that an agent's pods may run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Enforcement, Scope
from ringfence_operator.reconcile.run_time import ENDED, own_slots, second_limits
from ringfence_operator.reconcile.shared_run_time import SharedRunTimes
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.run_time import Frame, Slots, free_at

LEAST_SECONDS = 1.0
_LEAST = 0.01
"""Less than this part of a limit is not worth a pod's start."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """One limit on pods' seconds as it stands for an agent. `pods` run at its expense now."""

    quota: str
    limit: Limit
    used: float
    pods: int
    has_pod: bool
    free_at: datetime
    """When pods may run again, if it is used up."""

    @property
    def most(self) -> float:
        """The limit, in seconds."""
        return float(parse_quantity(self.limit.max))

    @property
    def is_spent(self) -> bool:
        """True if nothing is left to a pod that runs, or next to nothing to a new one."""
        return self.used >= (self.most if self.has_pod else _worth(self.most))

    @property
    def lasts(self) -> float:
        """For how many seconds it lasts as things are."""
        return max((self.most - self.used) / max(1, self.pods), LEAST_SECONDS)

    def words(self) -> str:
        """Return it as a sentence."""
        whose = "together" if self.limit.scope is Scope.SHARED else "each"
        used, until = f"{int(self.used)}/{self.limit.max}", format_timestamp(self.free_at)
        return (
            f"Quota {self.quota}: podSeconds {used} per {self.limit.window} {whose} are used up; it goes on at "
            f"{until}, or when the limit is raised"
        )


def allowances(
    agent: Agent, pod: Pod | None, quotas: Iterable[Quota], shared: SharedRunTimes, now: datetime
) -> tuple[Allowance, ...]:
    """Return every Hard limit on pods' seconds that holds for the agent."""
    found = []
    quotas = tuple(quotas)
    has_pod = pod is not None and pod.phase not in ENDED
    is_running = pod is not None and has_pod and bool(pod.started)
    for quota, limit in second_limits(quotas, Scope.PER_AGENT):
        frame = Frame.of(limit)
        slots = own_slots(agent.status.run_time, pod, frame, now)
        found.append(_allowance(quota, limit, slots, now, pods=int(is_running), has_pod=has_pod))
    for quota, limit in second_limits(quotas, Scope.SHARED):
        slots = shared.slots(quota, Frame.of(limit), now)
        found.append(_allowance(quota, limit, slots, now, pods=shared.running(quota), has_pod=has_pod))
    return tuple(each for each in found if each.limit.enforcement is Enforcement.HARD)


def _worth(most: float) -> float:
    """Return up to what use a new pod is made."""
    return most * (1 - _LEAST)


def _allowance(quota: Quota, limit: Limit, slots: Slots, now: datetime, *, pods: int, has_pod: bool) -> Allowance:
    frame, moment, most = Frame.of(limit), now.timestamp(), float(parse_quantity(limit.max))
    used = sum(seconds for slot, seconds in slots.items() if frame.is_counted(slot, moment))
    free = datetime.fromtimestamp(free_at(slots, frame, moment, _worth(most)), UTC)
    return Allowance(quota.metadata.name, limit, used, pods, has_pod, free)
