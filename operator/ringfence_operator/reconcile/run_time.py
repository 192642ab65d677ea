"""How long an agent's pods ran, for quotas that give each agent so much: kept in the agent's own status.

A run's time moves into the slots in the same write that says that the pod has ended, so that it is counted once,
whatever happens to the operator. An end that nobody saw counts as one now: what is wrong is never to the good.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Resource, Scope
from ringfence_operator.api.run_time import RanSlot, RunTime
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.run_time import Frame, Slots, add, as_rows, counted

ENDED = ("Succeeded", "Failed")


def second_limits(quotas: Iterable[Quota], scope: Scope) -> list[tuple[Quota, Limit]]:
    """Return the limits on pods' seconds of one scope, each with its quota."""
    found = ((quota, limit) for quota in quotas for limit in quota.spec.limits)
    return [(q, limit) for q, limit in found if limit.resource is Resource.POD_SECONDS and limit.scope is scope]


def slots_of(rows: Iterable[RanSlot], frame: Frame) -> Slots:
    """Return what a status keeps of one frame."""
    return {row.slot: float(row.seconds) for row in rows if row.frame == frame.name}


def rows_of(slots: Slots, frame: Frame) -> list[RanSlot]:
    """Return slots as a status keeps them."""
    return [RanSlot(frame=frame.name, slot=slot, seconds=seconds) for slot, seconds in as_rows(slots)]


def ended_at(pod: Pod, now: datetime) -> datetime | None:
    """Return when an ended pod's time was over; None if nothing says so.

    The kubelet tells whole seconds. The last one counts as a whole, lest an agent have a little left because it ended.
    """
    if pod.exit is None or not pod.exit.time:
        return None
    return min(datetime.fromisoformat(pod.exit.time) + timedelta(seconds=1), now)


def ran(before: RunTime, pod: Pod | None, now: datetime) -> tuple[list[tuple[float, float]], RunTime]:
    """Return the runs that have come to an end since `before`, and what to keep of the present one.

    `pod` is the agent's pod, if it has one.
    """
    uid, since = before.pod_uid, before.since
    runs: list[tuple[float, float]] = []
    is_other = pod is None or pod.meta.uid != uid
    if since is not None and is_other:
        runs.append((since.timestamp(), now.timestamp()))
        since = None
    if pod is None or not pod.started:
        return runs, RunTime(pod_uid=uid, since=since)
    began = datetime.fromisoformat(pod.started)
    if pod.phase not in ENDED:
        return runs, RunTime(pod_uid=pod.meta.uid, since=began)
    if is_other or since is not None:
        runs.append((began.timestamp(), (ended_at(pod, now) or now).timestamp()))
    return runs, RunTime(pod_uid=pod.meta.uid)


def run_time(before: RunTime | None, pod: Pod | None, quotas: Iterable[Quota], now: datetime) -> RunTime | None:
    """Return what the agent's status is to say; nothing where no quota gives each agent so many seconds."""
    frames = sorted(
        {Frame.of(limit) for _, limit in second_limits(quotas, Scope.PER_AGENT)}, key=lambda frame: frame.name
    )
    if not frames:
        return None
    before = before or RunTime()
    runs, present = ran(before, pod, now)
    rows: list[RanSlot] = []
    for frame in frames:
        slots = slots_of(before.slots, frame)
        for start, end in runs:
            add(slots, frame, start, end)
        # Old slots go with the next run that ends: dropping them is no reason to write.
        rows += rows_of(counted(slots, frame, now.timestamp()) if runs else slots, frame)
    return RunTime(pod_uid=present.pod_uid, since=present.since, slots=tuple(rows))


def own_slots(known: RunTime | None, pod: Pod | None, frame: Frame, now: datetime) -> Slots:
    """Return how long the agent's pods ran until now, the present one included."""
    before = known or RunTime()
    runs, present = ran(before, pod, now)
    slots = slots_of(before.slots, frame)
    for start, end in runs:
        add(slots, frame, start, end)
    if present.since is not None:
        add(slots, frame, present.since.timestamp(), now.timestamp())
    return slots
