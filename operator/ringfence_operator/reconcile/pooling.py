"""Which agent gets which warm pod, and who waits for one: decided in memory, where nothing waits for anything.

What was decided is lost with the process, and need not be kept: whose a pod is, the pod says.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPoolSpec
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.errors import ConflictError, NotFoundError, OperatorError, UnavailableError
from ringfence_operator.reconcile.given_files import GivenFiles
from ringfence_operator.reconcile.pool_order import Free, PoolOrder
from ringfence_operator.reconcile.pool_times import PoolTimes
from ringfence_operator.reconcile.starters import Unfit
from ringfence_operator.resources.observed_pod import Pod

Key = tuple[str, str]
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Claimant:
    """An agent that wants a pod; who was created first is served first."""

    born: datetime
    uid: str
    key: Key

    @classmethod
    def of(cls, agent: Agent) -> "Claimant":
        """Return an agent's place in the order."""
        return cls(agent.metadata.creation_timestamp or _BEGINNING, agent.metadata.uid, agent.key)


@dataclass(slots=True)
class Tally:
    """Agents that found a warm pod at once, and that did not."""

    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class KnownHash:
    """The hash of what a pool's pods are made from, and of what it was worked out: of objects, not their like."""

    spec: AgentPoolSpec
    policy: SecurityPolicy | None
    runtime_classes: frozenset[str]
    connectors: tuple[Connector, ...]
    value: str


class Pooling:
    """Hands warm pods out, each to one agent at a time. A leader's workers share it."""

    def __init__(self) -> None:
        self.wake: Callable[[Key], None] = lambda _: None
        """Has an agent looked at for which there is a pod now."""
        self.wake_pool: Callable[[Key, bool], None] = lambda _, __: None
        """Has a pool looked at that has one pod less, or another line; at once if an agent waits for that."""
        self.why_unfit: Callable[[Pod], Unfit | None] = lambda _: None
        """Says why no agent may have a warm pod, as far as its starter says."""
        self.times = PoolTimes()
        self.given = GivenFiles()
        self._lines: dict[Key, list[Claimant]] = {}
        self._waiting: dict[Key, Key] = {}
        self._handed: dict[str, tuple[Claimant, Key]] = {}
        """By the pod's UID, who claims it at this moment, or has claimed it, and from which pool."""
        self._handed_of: Counter[Key] = Counter()
        self.order = PoolOrder()
        self.hashes: dict[Key, KnownHash] = {}
        self._good: dict[Key, tuple[str, tuple[str, ...]]] = {}
        self._claimed: dict[Key, datetime] = {}
        """When the last claim from a pool was made, as long as its refill waits for that."""
        self._doubts: dict[str, Pod] = {}
        """By the agent's UID, the pod that it may have: the API server did not say whether it took the claim."""
        self._tallies: dict[Key, Tally] = {}
        self._claims = 0

    def begin(self) -> None:
        """Forget what an earlier time as leader left."""
        for kept in (self._lines, self._waiting, self._handed, self._handed_of, self._doubts, self._tallies):
            kept.clear()
        for known in (self.hashes, self._good, self._claimed):
            known.clear()
        self.order.forget()
        self.given.clear()

    # --- pods ---

    def pick(self, pool: Key, claimant: Claimant, free: Free) -> Pod | None:
        """Hand the first of the pods that could be claimed to `claimant`; or have it wait its turn."""
        place = bisect_left(self._lines.get(pool, ()), claimant)
        is_its_turn = not place or self.has_pod(pool, claimant, free)
        chosen = free.first(self.is_taken) if is_its_turn else None
        if chosen is None:
            self._wait(pool, claimant)
            return None
        self._handed[chosen.meta.uid] = claimant, pool
        self._handed_of[pool] += 1
        self._leave(claimant.key)
        return chosen

    def has_pod(self, pool: Key, claimant: Claimant, free: Free) -> bool:
        """Return True if `pick` would hand a pod to `claimant` now."""
        place = bisect_left(self._lines.get(pool, ()), claimant)
        return free.count(self.is_taken, place + 1) > place

    def is_handed_out(self, pod: Pod) -> bool:
        """Return True if somebody claims the pod, or has claimed it."""
        return pod.meta.uid in self._handed

    def is_taken(self, pod: Pod) -> bool:
        """Return True if nobody else can have the pod, or nobody at all."""
        return self.is_handed_out(pod) or self.why_unfit(pod) is not None

    def handed_out(self, pool: Key) -> int:
        """Return how many of a pool's pods are being claimed, or are claimed and still seen as warm."""
        return self._handed_of[pool]

    def claimant(self, pod_uid: str) -> Key | None:
        """Return whose claim of the pod is under way, or has been made."""
        found = self._handed.get(pod_uid)
        return found[0].key if found else None

    def release(self, pod_uid: str) -> None:
        """The pod was not claimed after all, or is no warm one any more."""
        found = self._handed.pop(pod_uid, None)
        if found is not None:
            self._handed_of[found[1]] -= 1
            if not self._handed_of[found[1]]:
                del self._handed_of[found[1]]

    def still_good(self, pool: Key, wanted: str) -> tuple[str, ...]:
        """Return the hashes of earlier templates whose pods can be handed out where `wanted` is the present one."""
        known = self._good.get(pool)
        return known[1] if known is not None and known[0] == wanted else ()

    def set_still_good(self, pool: Key, wanted: str, hashes: tuple[str, ...]) -> None:
        """Have pods of these earlier templates handed out as well, for as long as `wanted` is the present one."""
        self._good[pool] = wanted, hashes

    @contextmanager
    def claiming(self, agent_uid: str, pod: Pod) -> Iterator[None]:
        """Hold the pod while the API server is asked for it; whether it took the claim is then known, or in doubt."""
        self._claims += 1
        self._doubts[agent_uid] = pod
        try:
            yield
        except UnavailableError:
            raise
        except OperatorError as error:
            # All others say that nothing became of the request; of these two, the pod is not what it was.
            self.settle(agent_uid)
            if not isinstance(error, (ConflictError, NotFoundError)):
                self.release(pod.meta.uid)
            raise
        else:
            self.settle(agent_uid)
        finally:
            self._claims -= 1

    def doubt(self, agent_uid: str) -> Pod | None:
        """Return the pod that the agent may have, though no watch and no answer says so."""
        return self._doubts.get(agent_uid)

    def settle(self, agent_uid: str) -> None:
        """It is known whether the agent has that pod."""
        self._doubts.pop(agent_uid, None)

    def is_claimed_from(self, pool: Key) -> bool:
        """Return True while somebody claims a pod of the pool, or it is not known what has come of that."""
        return any((pod.meta.namespace, pod.pool) == pool for pod in self._doubts.values())

    @property
    def is_claiming(self) -> bool:
        """True while a claim is on its way: what nobody waits for gives way."""
        return self._claims > 0

    # --- refill ---

    def claimed(self, pool: Key, now: datetime) -> None:
        """An agent has claimed a pod of the pool: what refills it waits for others that may follow."""
        self._claimed[pool] = now

    def last_claim(self, pool: Key) -> datetime | None:
        """Return when the last claim was made, if the refill may have to wait for that."""
        return self._claimed.get(pool)

    def rests(self, pool: Key) -> None:
        """No claim has followed the last one."""
        self._claimed.pop(pool, None)

    # --- the line ---

    def is_waited_for(self, pool: Key) -> bool:
        """Return True if an agent waits for a pod of `pool`."""
        return pool in self._lines

    def line(self, pool: Key) -> list[Key]:
        """Return who waits for a pod of `pool`, in the order in which they are served."""
        return [each.key for each in self._lines.get(pool, ())]

    def is_waiting(self, agent: Key) -> bool:
        """Return True if the agent waits for a pod."""
        return agent in self._waiting

    def leave(self, agent: Key) -> None:
        """Have an agent wait no more; its pool's pass looks after those behind it."""
        pool = self._leave(agent)
        if pool is not None:
            self.wake_pool(pool, False)

    def withdraw(self, agent: Key, uid: str) -> None:
        """The agent asks for no pod. One that it may have claimed can be another's: of two claims, one wins.

        The second goes by the same version of the pod, so it does not matter whether the first still arrives.
        """
        self.leave(agent)
        pod = self._doubts.pop(uid, None)
        if pod is not None and self.claimant(pod.meta.uid) == agent:
            self.release(pod.meta.uid)
            self.wake_pool((pod.meta.namespace, pod.pool), False)

    def gone(self, agent: Key, uid: str) -> None:
        """The agent is deleted; its pods go with it."""
        self.withdraw(agent, uid)
        self.given.forget(uid)

    def serve(self, pool: Key, pods: int) -> None:
        """Have as many of those who wait looked at as there are pods for, the first first."""
        for each in self._lines.get(pool, ())[:pods]:
            self.wake(each.key)

    def _wait(self, pool: Key, claimant: Claimant) -> None:
        if self._waiting.get(claimant.key) == pool:
            return
        self._leave(claimant.key)
        self._waiting[claimant.key] = pool
        insort(self._lines.setdefault(pool, []), claimant)

    def _leave(self, agent: Key) -> Key | None:
        pool = self._waiting.pop(agent, None)
        if pool is None:
            return None
        left = [each for each in self._lines[pool] if each.key != agent]
        if left:
            self._lines[pool] = left
        else:
            del self._lines[pool]
        return pool

    # --- counts ---

    def tally(self, pool: Key) -> Tally:
        """Return what has been counted of the pool, and not been told."""
        return self._tallies.setdefault(pool, Tally())

    def told(self, pool: Key, tally: Tally) -> None:
        """Take `tally` as told: a status has it."""
        left = self.tally(pool)
        left.hits, left.misses = left.hits - tally.hits, left.misses - tally.misses

    def forget(self, pool: Key) -> None:
        """The pool is gone; who waits for it hears so from its own pass."""
        for kept in (self._tallies, self.hashes, self._good, self._claimed):
            kept.pop(pool, None)
        self.order.forget(pool)
        self.times.observer.forget(pool)
        self.serve(pool, len(self._lines.get(pool, ())))
