"""How long the pods of a quota's agents ran together: counted by the leader, kept in the quota's status.

The status is written when the count has grown by a hundredth of the limit, and when a pod has ended. So a leader that
is lost takes that much with it at most, of the pods that end before the next one leads; running pods lose nothing.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ringfence_operator import labels
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Scope
from ringfence_operator.api.run_time import SharedRunTime
from ringfence_operator.reconcile.run_time import ENDED, ended_at, rows_of, second_limits, slots_of
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.run_time import Frame, Slots, add, counted, overlap, total

Key = tuple[str, str]
_Gone = tuple[Key, float, float]
"""A quota, and from when to when a pod ran that counted for it."""
_Run = tuple[str, float, float]
"""An agent, and from when to when a pod of it ran."""
MOST_RUNS = 1_000
"""Of so many pods that are gone it is remembered, for each quota, whose they were."""
STEPS = 100
"""In so many steps a limit's use is told, so that what only grows is not always worth a write."""


@dataclass(slots=True)
class _Account:
    uid: str
    as_of: float
    slots: dict[Frame, Slots]
    said: SharedRunTime | None
    steps: dict[str, int] = field(default_factory=dict)
    has_ended: bool = False
    whose: dict[str, tuple[float, Mapping[str, float]]] = field(default_factory=dict)
    """By limit: a sum, and whose it was when it was looked at."""


def frames_of(quota: Quota) -> list[Frame]:
    """Return over which times a quota's Shared limits add up pods' seconds."""
    return [Frame.of(limit) for _, limit in second_limits([quota], Scope.SHARED)]


def step_of(used: float, most: float) -> int:
    """Return in which of a hundred steps a use is, the last for one that has reached the limit."""
    return min(STEPS, int(used * STEPS / most)) if most else STEPS


class SharedRunTimes:
    """The accounts of all quotas with such a limit."""

    def __init__(self) -> None:
        self.pods: Callable[[Quota], Iterable[Pod]] = lambda _: ()
        """Returns the pods that count for a quota, ended ones too."""
        self._accounts: dict[Key, _Account] = {}
        self._gone: list[_Gone] = []
        self._runs: dict[Key, deque[_Run]] = {}
        self._leads = False

    def begin(self) -> None:
        """Count from what is in the statuses: what an earlier time as leader left is old."""
        self._accounts.clear()
        self._gone.clear()
        self._runs.clear()
        self._leads = True

    def rest(self) -> None:
        """Count no more: another replica leads."""
        self._leads = False

    def pod_gone(self, pod: Pod, now: datetime) -> None:
        """A pod is not there any more: it ran until now, unless it had ended before.

        What it ran since the last count is in no account yet, also if it has ended: it may go right after.
        """
        if self._leads and pod.started:
            began = datetime.fromisoformat(pod.started).timestamp()
            ended = ended_at(pod, now) if pod.phase in ENDED else None
            for key in pod.labels:
                if key.startswith(labels.QUOTAS):
                    quota = (pod.meta.namespace, key.removeprefix(labels.QUOTAS))
                    self._gone.append((quota, began, (ended or now).timestamp()))
                    runs = self._runs.setdefault(quota, deque(maxlen=MOST_RUNS))
                    runs.append((pod.agent_key[1], began, (ended or now).timestamp()))

    def settle(self, quotas: Iterable[Quota], now: datetime) -> list[Quota]:
        """Count up to now, and return the quotas of which something else is to be said than before."""
        gone, self._gone = self._gone, []
        found = [quota for quota in quotas if frames_of(quota)]
        keys = {quota.key for quota in found}
        self._accounts = {key: account for key, account in self._accounts.items() if key in keys}
        self._runs = {key: runs for key, runs in self._runs.items() if key in keys}
        return [quota for quota in found if self._settle(quota, gone, now.timestamp())]

    def slots(self, quota: Quota, frame: Frame, now: datetime) -> Slots:
        """Return what counts under a limit, up to now."""
        account = self._account(quota)
        slots = dict(account.slots.get(frame, {}))
        self._run_on(slots, frame, quota, account.as_of, now.timestamp())
        self._add_gone(slots, frame, quota, account.as_of, self._gone)
        return counted(slots, frame, now.timestamp())

    def by_agent(self, quota: Quota, limit: Limit, told: float, now: datetime) -> Mapping[str, float]:
        """Return the seconds that count under a limit by the agent's name, as far as this replica knows whose they are.

        They are looked at anew when `told` is another sum than before: each agent's own would be a write each.
        """
        known = self._account(quota).whose
        if limit.id not in known or known[limit.id][0] != told:
            known[limit.id] = told, self._whose(quota, Frame.of(limit), now)
        return known[limit.id][1]

    def _whose(self, quota: Quota, frame: Frame, now: datetime) -> dict[str, float]:
        found, born = defaultdict[str, float](float), quota.metadata.creation_timestamp
        since = max(frame.reaches_back(now.timestamp()), born.timestamp() if born else 0.0)
        for name, began, ended in (*self._runs.get(quota.key, ()), *self._present(quota, now)):
            start, end = overlap(began, ended, since)
            found[name] += end - start
        return {name: seconds for name, seconds in found.items() if seconds > 0}

    def _present(self, quota: Quota, now: datetime) -> Iterator[_Run]:
        for pod in self.pods(quota):
            if pod.started:
                ended = ended_at(pod, now) if pod.phase in ENDED else None
                yield pod.agent_key[1], datetime.fromisoformat(pod.started).timestamp(), (ended or now).timestamp()

    def running(self, quota: Quota) -> int:
        """Return how many pods count for the quota now."""
        return sum(1 for pod in self.pods(quota) if pod.started and pod.phase not in ENDED)

    def said(self, quota: Quota) -> SharedRunTime | None:
        """Return what the quota's status is to keep."""
        if not frames_of(quota):
            return None
        account = self._account(quota)
        return account.said or _said(account)

    def _account(self, quota: Quota) -> _Account:
        account = self._accounts.get(quota.key)
        if account is not None and account.uid == quota.metadata.uid:
            return account
        known, born = quota.status.run_time, quota.metadata.creation_timestamp
        began = known.as_of if known else born
        slots = {frame: slots_of(known.slots, frame) if known else {} for frame in frames_of(quota)}
        account = _Account(quota.metadata.uid, began.timestamp() if began else 0.0, slots, known)
        self._accounts[quota.key] = account
        return account

    def _settle(self, quota: Quota, gone: list[_Gone], now: float) -> bool:
        account = self._account(quota)
        for frame in frames_of(quota):
            slots = account.slots.setdefault(frame, {})
            self._run_on(slots, frame, quota, account.as_of, now)
            account.has_ended |= self._add_gone(slots, frame, quota, account.as_of, gone)
            account.slots[frame] = counted(slots, frame, now)
        account.as_of = now
        return self._is_news(quota, account, now)

    def _run_on(self, slots: Slots, frame: Frame, quota: Quota, since: float, now: float) -> None:
        whole = 0
        for pod in self.pods(quota):
            if not pod.started:
                continue
            began, ended = datetime.fromisoformat(pod.started).timestamp(), now
            if pod.phase in ENDED:
                told = ended_at(pod, datetime.fromtimestamp(now, UTC))
                ended = told.timestamp() if told else since
            if began <= since and ended == now:
                whole += 1
            else:
                add(slots, frame, *overlap(began, ended, since))
        add(slots, frame, since, now, pods=whole)

    def _add_gone(self, slots: Slots, frame: Frame, quota: Quota, since: float, gone: list[_Gone]) -> bool:
        """Add what pods that are gone ran since; True if there were any."""
        runs = [(began, ended) for key, began, ended in gone if key == quota.key]
        for began, ended in runs:
            add(slots, frame, *overlap(began, ended, since))
        return bool(runs)

    def _is_news(self, quota: Quota, account: _Account, now: float) -> bool:
        steps = {}
        for _, limit in second_limits([quota], Scope.SHARED):
            frame = Frame.of(limit)
            steps[limit.id] = step_of(total(account.slots[frame], frame, now), float(parse_quantity(limit.max)))
        if account.said is not None and steps == account.steps and not account.has_ended:
            return False
        account.steps, account.has_ended = steps, False
        account.said = _said(account)
        return True


def _said(account: _Account) -> SharedRunTime:
    rows = [row for frame, slots in account.slots.items() for row in rows_of(slots, frame)]
    return SharedRunTime(as_of=datetime.fromtimestamp(account.as_of, UTC), slots=tuple(rows))
