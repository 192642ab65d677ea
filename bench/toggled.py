"""How soon a change holds for an agent that runs: something is closed and opened by turns while the agent calls."""

import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.egress.change import GAP, bounded
from bench.egress.samples import Attempt, Change, in_force
from bench.quantile import quantile
from bench.row import Row
from tests.e2e.kube import Body
from tests.e2e.world import AgentHandle

LEAD = 2.0
"""Seconds from the start of a run to its first change: exec takes a moment."""
BATCH = 10
"""Changes while one run of the program calls."""
SERVED = 200
WAIT_SECONDS = 60.0

Times = Sequence[tuple[Change, float]]
"""Each change, and the milliseconds until it held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toggled:
    """A call that an agent repeats, and what is changed meanwhile."""

    agent: AgentHandle
    call: tuple[str, str, Body]
    """Method, path and body."""
    write: Callable[[bool], object]
    """Writes to the API server: open, or not."""
    refused: int
    """Status of the call while it is not."""

    def until_served(self) -> None:
        """Return once calls are served. Raises TimeoutError."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not any(status == SERVED for _, _, status in self._calls(0.5)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no call is served within {WAIT_SECONDS:.0f} s")

    def often(self, count: int, *, note: Callable[[str], None]) -> Times:
        """Change so often; it is open at first. `note` hears how far it is."""
        found: list[tuple[Change, float]] = []
        while len(found) < count:
            found += self._batch(min(BATCH, count - len(found)), first=len(found))
            note(f"{len(found)} of {count}")
        return found

    def _batch(self, count: int, *, first: int) -> Times:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._calls, LEAD + count * (GAP + 0.3))
            time.sleep(LEAD)
            changes = [self._change(is_open=(first + number) % 2 == 1) for number in range(count)]
            attempts = [self._attempt(*each) for each in running.result()]
        ends = [*(each.sent for each in changes[1:]), math.inf]
        return [
            (change, round(in_force(attempts, change, until=end) * 1000, 1))
            for change, end in zip(changes, ends, strict=True)
        ]

    def _change(self, *, is_open: bool) -> Change:
        due = time.monotonic() + GAP
        # So that changes do not fall into step with what happens at intervals.
        time.sleep(random.uniform(0, 0.2))
        sent = time.time()
        self.write(is_open)
        time.sleep(max(0.0, due - time.monotonic()))
        return Change(sent, is_open)

    def _calls(self, seconds: float) -> list[tuple[float, float, int]]:
        """Return when calls from inside the agent's container began and ended, and their status."""
        found: list[tuple[float, float, int]] = self.agent.pod.script(
            "calls", seconds, *self.call, seconds=seconds + 60, container="agent"
        )
        return found

    def _attempt(self, began: float, ended: float, status: int) -> Attempt:
        if status not in (SERVED, self.refused):
            raise RuntimeError(f"a call was answered with {status}")
        return Attempt(began, ended, "call", "", "" if status == SERVED else "refused")


def samples(found: Times) -> list[tuple[bool, float | None]]:
    """Return the times for the file of samples, where null stands for a change that never held."""
    return [(each.is_open, None if math.isinf(ms) else ms) for each, ms in found]


def rows(found: Times, closed: str, opened: str, *, limit: float, note: str) -> list[Row]:
    """Return how long it took to close and to open, each with the words for it; `limit` is in milliseconds."""
    made = []
    for is_open, words in ((False, closed), (True, opened)):
        taken = [ms for each, ms in found if each.is_open is is_open]
        for share, name in ((0.5, f"p50 of {len(taken)}"), (0.99, "p99")):
            made.append(bounded(f"{words}, {name}", quantile(taken, share), limit, note))
            note = ""
    return made
