"""The circuit breaker of one endpoint: opens on failures, and on latency far above the endpoint's own."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The closed list of a breaker's states."""

    CLOSED = "closed"
    """Calls go through."""
    OPEN = "open"
    """None does, until a probe is due."""
    HALF_OPEN = "halfOpen"
    """One at a time does; what becomes of it decides."""


class Verdict(StrEnum):
    """What an attempt says of its endpoint."""

    SERVED = "served"
    """It answered; its latency counts."""
    REFUSED = "refused"
    """It answered with an error of the call's own: alive, and its latency says nothing."""
    LOST = "lost"
    """It was not there, or went away."""
    ABANDONED = "abandoned"
    """Nobody waited for it any longer; that it took so long may count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a breaker opens, and for how long. Seconds."""

    window: float = 10.0
    failures: int = 5
    failure_ratio: float = 0.5
    slow_calls: int = 10
    slow_ratio: float = 0.5
    slow_factor: float = 5.0
    """Slow is more than this many times the baseline,"""
    slow_floor: float = 0.25
    """and more than this."""
    first_open: float = 1.0
    longest_open: float = 30.0
    probes: int = 2
    """Probes that must be served before it closes."""


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float
    lost: bool
    slow: bool


class Breaker:
    """Watches one endpoint. Each kind of work has a baseline of its own: a slow report does not make a query slow."""

    _REMEMBERED = 64
    _KINDS = 256
    _LEARNT = 10
    """Answers after which a baseline counts."""

    def __init__(
        self,
        clock: Callable[[], float],
        draw: Callable[[], float],
        thresholds: Thresholds | None = None,
        *,
        on_dead: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._on_dead = on_dead
        self._is = thresholds or Thresholds()
        self._seen: deque[_Seen] = deque(maxlen=self._REMEMBERED)
        self._baselines: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._epoch = 0
        self._until = 0.0
        self._times_opened = 0
        self._probing = False
        self._probes_served = 0
        self.state = State.CLOSED
        self.is_slow = False
        """True if it opened on latency: better than nothing, where nothing else is there."""

    @property
    def opens_in(self) -> float:
        """Seconds until a call may go through."""
        return max(0.0, self._until - self._clock()) if self.state is State.OPEN else 0.0

    def is_permitting(self) -> bool:
        """Return True if `begin` would give a permit now."""
        if self.state is State.CLOSED:
            return True
        return not self._probing if self.state is State.HALF_OPEN else self._clock() >= self._until

    def begin(self, *, last_resort: bool = False) -> int | None:
        """Return a permit for one attempt, or None. Each permit must be given back by `record`."""
        if self.state is State.CLOSED:
            return self._epoch
        if self.is_permitting():
            if self.state is State.OPEN:
                self._turn(State.HALF_OPEN)
            self._probing = True
            return self._epoch
        return -1 if last_resort and self.is_slow else None

    def record(self, permit: int, verdict: Verdict, work: str = "", seconds: float = 0.0) -> None:
        """Say what became of the attempt. One that began in an earlier state says nothing of this one.

        `work` is what it was compared with: nothing, if it is empty.
        """
        slow = self._is_slow(verdict, work, seconds)
        if permit != self._epoch:
            return
        if self.state is State.HALF_OPEN:
            self._judge_probe(verdict, slow=slow)
            return
        if verdict is Verdict.ABANDONED and not slow:
            return
        lost = verdict is Verdict.LOST
        self._seen.append(_Seen(self._clock(), lost, slow))
        if lost or slow:
            self._judge()

    def abandon(self, permit: int) -> None:
        """Give a permit back unused."""
        self.record(permit, Verdict.ABANDONED)

    def revive(self) -> None:
        """Let probes through at once: a health check has found the endpoint well."""
        if self.state is State.OPEN:
            self._turn(State.HALF_OPEN)

    def trip(self) -> None:
        """Open: the endpoint has been found dead."""
        if self.state is not State.OPEN:
            self._open(slow=False)

    def _is_slow(self, verdict: Verdict, work: str, seconds: float) -> bool:
        if not work or verdict not in {Verdict.SERVED, Verdict.ABANDONED}:
            return False
        mean, count = self._baselines.get(work, (seconds, 0))
        slow = count >= self._LEARNT and seconds > max(self._is.slow_floor, self._is.slow_factor * mean)
        if verdict is Verdict.SERVED:
            # A lasting change becomes the new baseline, but only long after the breaker has had its say.
            share = 0.002 if slow else max(0.05, 1.0 / (count + 1))
            self._baselines[work] = (mean + share * (seconds - mean), count + 1)
            self._baselines.move_to_end(work)
            if len(self._baselines) > self._KINDS:
                self._baselines.popitem(last=False)
        return slow

    def _judge(self) -> None:
        since = self._clock() - self._is.window
        recent = [seen for seen in self._seen if seen.at >= since]
        lost = sum(seen.lost for seen in recent)
        slow = sum(seen.slow for seen in recent)
        if lost >= self._is.failures and lost >= self._is.failure_ratio * len(recent):
            self._open(slow=False)
        elif slow >= self._is.slow_calls and slow >= self._is.slow_ratio * len(recent):
            self._open(slow=True)

    def _judge_probe(self, verdict: Verdict, *, slow: bool) -> None:
        self._probing = False
        if verdict is Verdict.LOST or slow:
            self._open(slow=slow)
        elif verdict is not Verdict.ABANDONED:
            self._probes_served += 1
            if self._probes_served >= self._is.probes:
                self._times_opened = 0
                self._turn(State.CLOSED)

    def _open(self, *, slow: bool) -> None:
        seconds = min(self._is.longest_open, self._is.first_open * 2.0**self._times_opened)
        self._times_opened += 1
        # Jitter, so that the sidecars of a namespace do not probe all at once.
        self._until = self._clock() + seconds * (0.75 + 0.5 * self._draw())
        self.is_slow = slow
        self._turn(State.OPEN)
        if not slow:
            self._on_dead()

    def _turn(self, state: State) -> None:
        self.state = state
        self._epoch += 1
        self._probing = False
        self._probes_served = 0
        self._seen.clear()
