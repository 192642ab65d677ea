"""How soon a change of a policy is in force where an agent's connections are judged."""

import math
import random
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from bench.egress.bed import NAME, Bed, allowing
from bench.egress.samples import Attempt, Change, in_force
from bench.egress.traffic import Seat
from bench.quantile import quantile
from bench.row import Row, at_most

COUNT, QUICK = 50, 5
GAP = 2.5
"""Seconds between two changes, and what a change has at most."""
LEAD = 1.5
"""Seconds from the start of a run to its first change: exec takes a moment."""
PAUSE = "10ms"
"""Between two attempts of one of four workers: more would be beyond a policy's allowance of connections."""
BATCH = 10
"""Changes while one run of the program tries."""
KEPT = 8
"""Attempts that are kept of each change, to see what made it late."""
P50, P99 = 1000.0, 2000.0
OTHER = "files.test"


def measure_change(bed: Bed) -> list[Row]:
    """One name is opened and closed by turns, while the agent opens connections to it all the time."""
    namespace = bed.namespace()
    seat = bed.seat(namespace, "changing", allowing(OTHER))
    count = bed.count(COUNT, QUICK)
    before, began = bed.busy(), time.monotonic()
    with bed.progress.step(f"{2 * count} changes of a policy", announce=True):
        times = change_often(bed, namespace, "changing", seat, 2 * count)
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("change", [each.as_json() for each in times])
    bed.clear()
    return _rows(times, note)


@dataclass(frozen=True, slots=True)
class Timed:
    """One change: milliseconds until in force on every way, and on each of them."""

    is_open: bool
    ms: float
    ways: dict[str, float]
    otherwise: list[tuple[float, float, str, str]]
    """The last attempts that went otherwise: milliseconds after the write, milliseconds long, way, error."""

    def as_json(self) -> dict[str, Any]:
        """Return it for the file of samples, where null stands for a change that was never in force."""
        said = {name: None if math.isinf(each) else each for name, each in {"ms": self.ms, **self.ways}.items()}
        return {"is_open": self.is_open, **said, "otherwise": self.otherwise}


def change_often(bed: Bed, namespace: str, policy: str, seat: Seat, count: int) -> list[Timed]:
    """Open and close NAME by turns, and return how long each change took."""
    found: list[Timed] = []
    while len(found) < count:
        batch = min(BATCH, count - len(found))
        running = seat.start("try", seconds=LEAD + batch * GAP, pause=PAUSE)
        time.sleep(LEAD)
        changes = [_change(bed, namespace, policy, is_open=(len(found) + number) % 2 == 0) for number in range(batch)]
        found += _times(changes, running)
        bed.progress.note(f"{len(found)} of {count}")
    return found


def _change(bed: Bed, namespace: str, policy: str, *, is_open: bool) -> Change:
    due = time.monotonic() + GAP
    # So that changes do not fall into step with what happens at intervals.
    time.sleep(random.uniform(0, 0.2))
    sent = bed.change(namespace, policy, allowing(*([NAME] if is_open else []), OTHER))
    time.sleep(max(0.0, due - time.monotonic()))
    return Change(sent, is_open)


def _times(changes: list[Change], running: "Future[list[Attempt]]") -> list[Timed]:
    attempts = running.result(timeout=120)
    ends = [*(each.sent for each in changes[1:]), math.inf]
    if not attempts:
        raise RuntimeError("the program has tried nothing")
    ways = {each.way: [other for other in attempts if other.way == each.way] for each in attempts}
    return [
        Timed(
            change.is_open,
            _milliseconds(attempts, change, end),
            {way: _milliseconds(tried, change, end) for way, tried in ways.items()},
            _otherwise(attempts, change, end),
        )
        for change, end in zip(changes, ends, strict=True)
    ]


def _milliseconds(attempts: list[Attempt], change: Change, end: float) -> float:
    return round(in_force(attempts, change, until=end) * 1000, 1)


def _otherwise(attempts: list[Attempt], change: Change, end: float) -> list[tuple[float, float, str, str]]:
    found = [
        each
        for each in attempts
        if change.sent <= each.began and each.ended < end and each.succeeded is not change.is_open
    ]
    return [
        (round((each.began - change.sent) * 1000, 1), round((each.ended - each.began) * 1000, 1), each.way, each.error)
        for each in sorted(found, key=lambda each: each.began)[-KEPT:]
    ]


def _rows(times: list[Timed], note: str) -> list[Row]:
    rows = []
    for is_open, word in ((True, "opened"), (False, "closed")):
        chosen = [each for each in times if each.is_open is is_open]
        taken = [each.ms for each in chosen]
        what = f"policy change, a name {word}: API write sent -> in force at the agent"
        rows += [
            bounded(f"{what}, p50 of {len(taken)}", quantile(taken, 0.5), P50, note),
            bounded(f"{what}, p99", quantile(taken, 0.99), P99, _by_way(chosen)),
        ]
        note = ""
    return rows


def _by_way(times: list[Timed]) -> str:
    texts = []
    for way in times[0].ways:
        taken = [each.ways[way] for each in times]
        texts.append(f"{way} p50 {quantile(taken, 0.5):g}, p99 {quantile(taken, 0.99):g} ms")
    return "; ".join(texts)


def bounded(measure: str, milliseconds: float, limit: float, note: str = "") -> Row:
    """Return the row of a time, which is beyond every limit if the change was not in force before the next one."""
    if math.isinf(milliseconds):
        return Row(measure, f"<= {limit:g}", f"> {GAP * 1000:g}", "ms", False, note)
    return at_most(measure, milliseconds, limit, "ms", note)
