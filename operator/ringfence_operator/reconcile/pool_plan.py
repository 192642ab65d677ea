"""What is to become of a pool's warm pods: a pure function of what is seen of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.reconcile.diagnose import is_disrupted
from ringfence_operator.reconcile.pool_index import is_claimable, is_whole
from ringfence_operator.reconcile.starters import Unfit
from ringfence_operator.resources.observed_pod import Pod

FAILED_SECONDS = 10.0
"""A pod that fails sooner after it was made is replaced after this: the next may fail as well."""
UNREADY_SECONDS = 30.0
"""How long one that runs may not be ready, or not be fit for an agent as its starter finds."""
_HINDERED = {
    *("ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "CrashLoopBackOff"),
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "PostStartHookError"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a pool's pods are to be: how many, and of which template."""

    size: int
    template_hash: str
    still_good: frozenset[str] = frozenset()
    """Hashes of earlier templates whose pods stay until they are claimed, as long as they can be."""
    most: int | None = None
    """How many may be made now at most; None if it does not matter."""
    max_idle: int | None = None
    """For how many seconds a pod may be warm."""

    waiting: int = 0
    """How many agents wait for a pod."""

    def some(self) -> int:
        """Return how many pods are replaced at a time, so that a change does not start all of them at once."""
        return max(1, self.size // 10)


@dataclass(slots=True)
class Plan:
    """The pods as they are, and what is to be done."""

    revision: str = ""
    """Hash of the template that pods are made from now."""
    warm: list[Pod] = field(default_factory=list)
    starting: list[Pod] = field(default_factory=list)
    hindered: list[Pod] = field(default_factory=list)
    """Those that cannot start as they are; they are not replaced, for another would fare no better."""
    failed: list[Pod] = field(default_factory=list)
    """Those that have failed, or that no agent may have; each is replaced, and holds its place until then."""
    unfit: tuple[Pod, Unfit] | None = None
    """One of those whose starter says why no agent may have it, and that."""
    outdated: list[Pod] = field(default_factory=list)
    """Those of another template, that have to go."""
    expired: list[Pod] = field(default_factory=list)
    """Warm ones that have waited for too long."""
    delete: list[Pod] = field(default_factory=list)
    forget: list[Pod] = field(default_factory=list)
    """Pods whose node is gone: nobody else confirms their end."""
    create: int = 0
    look_again: float | None = None
    """Seconds after which time alone changes something."""

    @property
    def live(self) -> list[Pod]:
        """Those that are warm, or may come to be."""
        return [*self.warm, *self.starting, *self.hindered]

    def wait(self, seconds: float) -> None:
        """Have the pool looked at again in so long."""
        self.look_again = seconds if self.look_again is None else min(seconds, self.look_again)


def plan_pool(
    pods: Iterable[Pod],
    wanted: Wanted,
    *,
    is_handed_out: Callable[[Pod], bool],
    is_lost: Callable[[Pod], bool],
    why_unfit: Callable[[Pod], Unfit | None] = lambda _: None,
    now: datetime,
) -> Plan:
    """Return the plan. A pod that is being claimed is in none."""
    plan = Plan(revision=wanted.template_hash)
    for pod in sorted(pods, key=lambda each: (each.created, each.meta.name)):
        if is_handed_out(pod):
            continue
        if is_lost(pod):
            plan.forget.append(pod)
        elif not pod.deleting_since:
            _sort(pod, plan, wanted, why_unfit(pod), now)
    _expire(plan, wanted, now)
    _replace(plan, wanted)
    return plan


def _sort(pod: Pod, plan: Plan, wanted: Wanted, unfit: Unfit | None, now: datetime) -> None:
    if pod.phase in ("Failed", "Succeeded") or pod.disrupted:
        left = FAILED_SECONDS - (now - datetime.fromisoformat(pod.created)).total_seconds()
        if left > 0 and not is_disrupted(pod):
            plan.failed.append(pod)
            plan.wait(left)
        else:
            plan.delete.append(pod)
    elif pod.template_hash != wanted.template_hash and not _stays(pod, wanted):
        plan.outdated.append(pod)
    elif not is_whole(pod) or _is_stuck(pod, plan, now):
        plan.delete.append(pod)
    elif unfit is not None:
        _put_by(pod, unfit, plan, now)
    elif is_claimable(pod):
        plan.warm.append(pod)
    elif _is_hindered(pod):
        plan.hindered.append(pod)
    else:
        plan.starting.append(pod)


def _put_by(pod: Pod, unfit: Unfit, plan: Plan, now: datetime) -> None:
    """Keep a pod that no agent may have for a moment after its start: its network may be closed a little later."""
    plan.unfit = pod, unfit
    left = UNREADY_SECONDS - (now - datetime.fromisoformat(pod.running_since or pod.created)).total_seconds()
    if left > 0:
        plan.failed.append(pod)
        plan.wait(left)
    else:
        plan.delete.append(pod)


def _stays(pod: Pod, wanted: Wanted) -> bool:
    """Return True if a pod of another template may wait for its agent: not one that cannot start by that."""
    return pod.template_hash in wanted.still_good and not _is_hindered(pod)


def _is_hindered(pod: Pod) -> bool:
    return pod.waiting in _HINDERED or pod.sidecar_waiting in _HINDERED or bool(pod.unschedulable)


def _expire(plan: Plan, wanted: Wanted, now: datetime) -> None:
    """Say which pods have been warm for too long, those first that have been for longest."""
    if wanted.max_idle is None or not plan.warm:
        return
    end = format_timestamp(now - timedelta(seconds=wanted.max_idle))
    by_age = sorted(plan.warm, key=_warm_since)
    plan.expired = [pod for pod in by_age if _warm_since(pod) <= end]
    if len(plan.expired) < len(by_age):
        idle = (now - datetime.fromisoformat(_warm_since(by_age[len(plan.expired)]))).total_seconds()
        plan.wait(max(1.0, wanted.max_idle - idle))


def _warm_since(pod: Pod) -> str:
    return pod.ready_since or pod.created


def _is_stuck(pod: Pod, plan: Plan, now: datetime) -> bool:
    """Return True if the pod has run, and has not been ready for long."""
    if not pod.running_since or not pod.unready_since:
        return False
    left = UNREADY_SECONDS - (now - datetime.fromisoformat(pod.unready_since)).total_seconds()
    if left > 0:
        plan.wait(left)
    return left <= 0


def _replace(plan: Plan, wanted: Wanted) -> None:
    """Say how many pods are to be made, and which have to go."""
    # In the place of those that are too old there are some more, until they are warm.
    size = wanted.size + min(len(plan.expired), wanted.some())
    missing = size - len(plan.live) - len(plan.failed)
    if missing < 0:
        plan.delete += _spare(plan, wanted)[:-missing]
    elif plan.expired:
        plan.delete += plan.expired[: max(0, len(plan.warm) - wanted.size)]
    plan.create = _most(missing, wanted)
    if plan.outdated:
        # Those that are to be replaced hold nobody up: neither who waits, nor what was claimed and has to be made anew.
        at_once = max(wanted.some(), wanted.waiting) - len(plan.starting) - len(plan.hindered)
        plan.create = _most(min(missing, max(at_once, missing - len(plan.outdated))), wanted)
        surplus = len(plan.live) + len(plan.failed) + plan.create + len(plan.outdated) - size
        plan.delete += plan.outdated[: max(0, surplus)]


def _most(number: int, wanted: Wanted) -> int:
    return max(0, number if wanted.most is None else min(number, wanted.most))


def _spare(plan: Plan, wanted: Wanted) -> list[Pod]:
    """Return the pods in the order in which they can be spared.

    Those that are farthest from being warm go first, then those that have been so for too long, those of a former
    template, and of others the youngest.
    """
    cold = [*plan.failed, *reversed(plan.hindered), *reversed(plan.starting)]
    expired = {pod.meta.uid for pod in plan.expired}
    left = [pod for pod in plan.warm if pod.meta.uid not in expired]
    former = [pod for pod in left if pod.template_hash != wanted.template_hash]
    present = [pod for pod in left if pod.template_hash == wanted.template_hash]
    return [*cold, *plan.expired, *former, *reversed(present)]
