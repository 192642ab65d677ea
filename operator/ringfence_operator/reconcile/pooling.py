"""Which agent gets which warm pod, and who waits for one: decided in memory, where nothing waits for anything.

What was decided is lost with the process, and need not be kept: whose a pod is, the pod says.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ringfence_operator.api.agent import Agent
from ringfence_operator.errors import ConflictError, NotFoundError, OperatorError, UnavailableError
from ringfence_operator.reconcile.pool_times import PoolTimes
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


class Pooling:
    """Hands warm pods out, each to one agent at a time. A leader's workers share it."""

    def __init__(self) -> None:
        self.wake: Callable[[Key], None] = lambda _: None
        """Has an agent looked at for which there is a pod now."""
        self.wake_pool: Callable[[Key, bool], None] = lambda _, __: None
        """Has a pool looked at that has one pod less, or another line; at once if an agent waits for that."""
        self.times = PoolTimes()
        self._lines: dict[Key, list[Claimant]] = {}
        self._waiting: dict[Key, Key] = {}
        self._handed: dict[str, Claimant] = {}
        """By the pod's UID, who claims it at this moment, or has claimed it."""
        self._doubts: dict[str, Pod] = {}
        """By the agent's UID, the pod that it may have: the API server did not say whether it took the claim."""
        self._tallies: dict[Key, Tally] = {}
        self._claims = 0

    def begin(self) -> None:
        """Forget what an earlier time as leader left."""
        for kept in (self._lines, self._waiting, self._handed, self._doubts, self._tallies):
            kept.clear()

    # --- pods ---

    def pick(self, pool: Key, claimant: Claimant, pods: Iterable[Pod]) -> Pod | None:
        """Hand the oldest of `pods`, which are those that could be claimed, to `claimant`; or have it wait its turn."""
        free = [pod for pod in pods if pod.meta.uid not in self._handed]
        line = self._lines.get(pool, ())
        if len(free) <= bisect_left(line, claimant):
            self._wait(pool, claimant)
            return None
        chosen = min(free, key=lambda pod: (pod.created, pod.meta.name))
        self._handed[chosen.meta.uid] = claimant
        self._leave(claimant.key)
        return chosen

    def is_handed_out(self, pod: Pod) -> bool:
        """Return True if somebody claims the pod, or has claimed it."""
        return pod.meta.uid in self._handed

    def claimant(self, pod_uid: str) -> Key | None:
        """Return whose claim of the pod is under way, or has been made."""
        found = self._handed.get(pod_uid)
        return found.key if found else None

    def release(self, pod_uid: str) -> None:
        """The pod was not claimed after all, or is no warm one any more."""
        self._handed.pop(pod_uid, None)

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

    @property
    def is_claiming(self) -> bool:
        """True while a claim is on its way: what nobody waits for gives way."""
        return self._claims > 0

    # --- the line ---

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

    def gone(self, agent: Key, uid: str) -> None:
        """The agent is deleted; its pods go with it, and what it may have claimed is no other's."""
        self.leave(agent)
        self.settle(uid)

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
        self._tallies.pop(pool, None)
        self.times.observer.forget(pool)
        self.serve(pool, len(self._lines.get(pool, ())))
