"""Who may run under a limit on agents: counted from the pods that are there and those being made, the oldest first."""

import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Enforcement, Resource
from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.locks import Locks

Key = tuple[str, str]

UNKNOWN_SECONDS = 60.0
"""For so long a pod counts whose making got no answer: by then it is in view, or it does not exist."""

MOST_REFUSED = 1_000
"""Of so many agents it is remembered when a limit kept them from running."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class _Waiting:
    born: datetime
    uid: str
    key: Key
    quotas: tuple[str, ...] = field(compare=False)


@dataclass(slots=True)
class Refusals:
    """How often a limit has kept agents from running, and whom it kept last."""

    count: int = 0
    agent: str = ""
    time: datetime | None = None
    last: dict[str, datetime] = field(default_factory=dict)
    """Name of the agent → when that was; of so many that it was last as `MOST_REFUSED` says."""


def agent_limit(quota: Quota) -> Limit | None:
    """Return the quota's limit on agents that run at once, if it has one."""
    return next((each for each in quota.spec.limits if each.resource is Resource.AGENTS), None)


def refuses(quota: Quota) -> bool:
    """Return True if the quota keeps agents from running, and does not only tell."""
    limit = agent_limit(quota)
    return limit is not None and limit.enforcement is Enforcement.HARD


def most_agents(quota: Quota) -> int:
    """Return how many agents may run at once."""
    limit = agent_limit(quota)
    return int(parse_quantity(limit.max)) if limit else 0


class Places:
    """Who has a place, and who waits for one. A leader's workers share it, and nothing in it waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.wake: Callable[[Key], None] = lambda _: None
        """Has an agent looked at whose turn it may be."""
        self.on_use: Callable[[Key], None] = lambda _: None
        """Hears of each quota of which something else is to be said."""
        self.refusals: dict[Key, dict[str, Refusals]] = {}
        """By quota and the limit's `Limit.id`."""
        self.caught_up: set[str] = set()
        """Namespaces whose pods the API server has been asked for since this replica leads."""
        self.settled: dict[Key, tuple[str, int]] = {}
        """UID and generation of quotas of which every agent's pod carries the name."""
        self.locks = Locks()
        self._clock = clock
        self._being_made: dict[Key, tuple[frozenset[str], float]] = {}
        self._waiting: dict[Key, _Waiting] = {}

    def begin(self) -> None:
        """Forget what an earlier time as leader left: a predecessor may have made pods that are not in view yet."""
        self.caught_up.clear()
        self.settled.clear()
        self._being_made.clear()
        self._waiting.clear()

    @property
    def is_empty(self) -> bool:
        """True if nobody waits."""
        return not self._waiting

    def forget(self, quota: Key) -> None:
        """The quota is gone."""
        self.refusals.pop(quota, None)
        self.settled.pop(quota, None)

    def unsettle(self, namespace: str) -> None:
        """Another agent may be under a quota of `namespace` than before, whose pod does not carry its name yet."""
        self.settled = {key: version for key, version in self.settled.items() if key[0] != namespace}

    def used(self, quota: Quota, holders: Iterable[Key]) -> int:
        """Return how many run under the quota, those being made included."""
        namespace, name = quota.key
        counted = set(holders)
        for key, (quotas, until) in list(self._being_made.items()):
            if until < self._clock():
                del self._being_made[key]
            elif key[0] == namespace and name in quotas:
                counted.add(key)
        return len(counted)

    def ask(self, agent: Agent, quotas: Iterable[Quota], free: Callable[[str, str], int | None]) -> Quota | None:
        """Give `agent` a place under all of `quotas`, or have it wait and return the one that has none for it.

        `free` returns how many places a quota has left, by namespace and name; None if it does not limit agents. A
        place is held until `held` is left.
        """
        found = sorted((each for each in quotas if refuses(each)), key=lambda each: each.metadata.name)
        if not found:
            return None
        self.wait(agent, found)
        left: dict[str, int] = {}
        full = self._first_full(agent.key, left, free)
        if full is None:
            del self._waiting[agent.key]
            names = frozenset(each.metadata.name for each in found)
            self._being_made[agent.key] = (names, self._clock() + UNKNOWN_SECONDS)
            return None
        return next(each for each in found if each.metadata.name == full)

    def wait(self, agent: Agent, quotas: Iterable[Quota]) -> None:
        """Put `agent` among those that wait; who was created first is served first."""
        names = tuple(each.metadata.name for each in quotas)
        born = agent.metadata.creation_timestamp or _BEGINNING
        self._waiting[agent.key] = _Waiting(born, agent.metadata.uid, agent.key, names)

    def refused(self, quota: Quota, limit: Limit, agent: Agent, now: datetime) -> None:
        """Count that a limit has kept an agent from running."""
        entry = self.refusals.setdefault(quota.key, {}).setdefault(limit.id, Refusals())
        entry.count += 1
        entry.agent, entry.time = agent.metadata.name, now
        entry.last.pop(entry.agent, None)
        entry.last[entry.agent] = now
        if len(entry.last) > MOST_REFUSED:
            del entry.last[next(iter(entry.last))]
        self.on_use(quota.key)

    @contextmanager
    def held(self, key: Key) -> Iterator[None]:
        """Hold the place of the agent whose pod is made meanwhile; whether it was made is then in view, or unknown."""
        try:
            yield
        except (UnavailableError, CancelledError):
            # Nobody knows whether the API server made the pod: it counts until that is known.
            raise
        except BaseException:
            self.give_back(key)
            raise
        self.give_back(key)

    def give_back(self, key: Key) -> None:
        """Take back the place of an agent that got no pod after all."""
        self._being_made.pop(key, None)

    def leave(self, key: Key) -> bool:
        """Have an agent wait no more; True if it did."""
        return self._waiting.pop(key, None) is not None

    def next_in_line(self, namespace: str, free: Callable[[str, str], int | None]) -> list[Key]:
        """Return the agents that wait in `namespace` and for which there is a place now, the oldest first."""
        left: dict[str, int] = {}
        line = sorted(each for each in self._waiting.values() if each.key[0] == namespace)
        return [each.key for each in line if _takes(each, left, free)]

    def _first_full(self, key: Key, left: dict[str, int], free: Callable[[str, str], int | None]) -> str | None:
        """Serve all who wait in order, and return the quota that has no place left when it is the turn of `key`."""
        me = self._waiting[key]
        full = next((name for name in me.quotas if _left(key[0], name, left, free) <= 0), None)
        if full is not None:
            return full
        for each in sorted(each for each in self._waiting.values() if each.key[0] == key[0]):
            if each is me:
                break
            if not set(me.quotas).isdisjoint(each.quotas):
                _takes(each, left, free)
        return next((name for name in me.quotas if _left(key[0], name, left, free) <= 0), None)


def _left(namespace: str, name: str, left: dict[str, int], free: Callable[[str, str], int | None]) -> int:
    if name not in left:
        found = free(namespace, name)
        # A quota that is gone, or limits agents no more, keeps nobody waiting.
        left[name] = found if found is not None else 2**31
    return left[name]


def _takes(each: _Waiting, left: dict[str, int], free: Callable[[str, str], int | None]) -> bool:
    """Return True if there is a place under each quota of who waits, and take it."""
    if any(_left(each.key[0], name, left, free) <= 0 for name in each.quotas):
        return False
    for name in each.quotas:
        left[name] -= 1
    return True
