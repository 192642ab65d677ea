from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringfence_operator.runtime.queue import WorkQueue
from tests.operator.runtime.clock import FakeClock

KEYS = st.sampled_from("abcdef")
PRIORITIES = st.integers(0, 2)
FOR_EVER = 1e6


class QueueMachine(RuleBasedStateMachine):
    """Compares the queue with the plainest description of what it promises."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.queue: WorkQueue[str] = WorkQueue(clock=self.clock, call_later=self.clock.call_later)
        self.ready: set[str] = set()
        self.due: dict[str, float] = {}
        self.working: set[str] = set()
        self.again: set[str] = set()

    def become_ready(self, key: str) -> None:
        (self.again if key in self.working else self.ready).add(key)

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key: str, priority: int) -> None:
        self.queue.add(key, priority)
        self.become_ready(key)

    @rule(key=KEYS, seconds=st.integers(1, 20), priority=PRIORITIES)
    def add_after(self, key: str, seconds: int, priority: int) -> None:
        self.queue.add_after(key, seconds, priority)
        self.due[key] = min(self.clock.now + seconds, self.due.get(key, float("inf")))

    @rule(key=KEYS)
    def retry(self, key: str) -> None:
        delay = self.queue.retry(key)
        self.due[key] = min(self.clock.now + delay, self.due.get(key, float("inf")))

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)

    @rule(seconds=st.integers(1, 10))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)
        for key in [key for key, at in self.due.items() if at <= self.clock.now]:
            del self.due[key]
            self.become_ready(key)

    @rule()
    def take(self) -> None:
        key = self.queue.get_nowait()
        if key is None:
            assert not self.ready
            return
        assert key not in self.working
        self.ready.remove(key)
        self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.queue.done(key)
        self.working.remove(key)
        if key in self.again:
            self.again.remove(key)
            self.ready.add(key)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert len(self.queue) == len(self.ready)

    def teardown(self) -> None:
        """Whatever was to come later comes, once."""
        for key in [*self.working]:
            self.queue.done(key)
        self.clock.advance(FOR_EVER)
        left = [key for key in iter(self.queue.get_nowait, None) if key is not None]
        assert sorted(left) == sorted(self.ready | self.again | set(self.due))


QueueMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestQueueAgainstItsPromises = QueueMachine.TestCase
