"""What 5,000 agents under 500 quotas cost the operator and the API server while little or nothing happens."""

import itertools
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.audit import Write, kinds
from bench.bed import Bed
from bench.manifests import Raw
from bench.quota.fleet import LIMITS, Fleet, running
from bench.report import Measured
from bench.row import Row, at_most, for_comparison
from devcluster.backends import ensure_backends
from tests.backends.redis_server import running_redis

AGENTS, QUOTAS = 5_000, 500
QUICK_AGENTS, QUICK_QUOTAS = 200, 20
QUIET_SECONDS, QUICK_QUIET_SECONDS = 240.0, 60.0
CHANGE_SECONDS = 30.0
LEAST_SECONDS = 10.0
"""Between two writes of one quota's status."""
JITTER_SECONDS = 0.5
"""From the pass that decides to write until the API server has it."""
STEP_SECONDS = 60
"""In which a limit on pods' seconds, of each phase with one, is used by another hundredth."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What was written, and used, in a time in which nobody did anything. `leases` are renewals of the Lease."""

    seconds: float
    writes: Sequence[Write]
    leases: int
    cpu: float
    rss: float
    busy: str

    @property
    def minutes(self) -> float:
        """How long it was."""
        return self.seconds / 60

    def by_quota(self) -> dict[str, list[float]]:
        """Return when each quota's status was written."""
        found = defaultdict(list)
        for write in self.writes:
            if write.resource == "quotas/status":
                found[write.name].append(write.received)
        return found


def measure_scale(name: str, report: Measured) -> Iterator[Row]:
    """A settled fleet is left alone; one quota is changed; then every quota limits pods' seconds besides."""
    ensure_backends(report.progress)
    bed = Bed(name, report.progress, is_quick=report.is_quick)
    bed.raw = report.raw
    with tempfile.TemporaryDirectory(prefix="bench-quota-") as directory:
        try:
            bed.open()
            with (
                running_redis(Path(directory), "maxmemory-policy noeviction") as redis,
                running(bed, redis, Path(directory)) as operator,
            ):
                yield from _measure(Fleet(bed, operator, bed.namespace(), *_size(bed)))
        finally:
            bed.close()


def _size(bed: Bed) -> tuple[int, int]:
    return (QUICK_AGENTS, QUICK_QUOTAS) if bed.is_quick else (AGENTS, QUOTAS)


def _measure(fleet: Fleet) -> Iterator[Row]:
    fleet.make()
    fleet.until_settled()
    quiet = _quiet(fleet, "no limit on pods' seconds")
    yield from _rows(fleet, quiet, "without podSeconds")
    yield from _one_change(fleet)
    _limit_seconds(fleet)
    yield from _counting_rows(fleet, _quiet(fleet, "limits on pods' seconds"))


def _quiet(fleet: Fleet, what: str) -> Quiet:
    bed = fleet.bed
    seconds = QUICK_QUIET_SECONDS if bed.is_quick else QUIET_SECONDS
    mark, used, before = bed.audit.mark(), fleet.operator.use(), bed.busy(fleet.operator)
    with bed.progress.step(f"{seconds:.0f} quiet seconds, {what}", announce=True):
        bed.rest(seconds)
    use = fleet.operator.use()
    busy = bed.busy(fleet.operator).since(before, seconds=seconds)
    writes = fleet.written(mark)
    leases = sum(each.is_by_operator and each.is_lease for each in bed.audit.writes(mark))
    bed.keep(f"scale, {what}", [(each.verb, each.resource, each.name, each.code, each.received) for each in writes])
    return Quiet(seconds, writes, leases, use.cpu - used.cpu, use.rss, busy)


def _rows(fleet: Fleet, quiet: Quiet, what: str) -> list[Row]:
    which = f"{fleet.agents:,} agents under {fleet.quotas} quotas, {what}"
    said = f"{quiet.minutes:.0f} quiet min: {kinds(quiet.writes)}; besides, {quiet.leases} renewals of the Lease"
    return [
        at_most(f"{which}: writes/min", round(len(quiet.writes) / quiet.minutes, 1), 0, "", said),
        *_use_rows(quiet),
    ]


def _use_rows(quiet: Quiet) -> list[Row]:
    return [
        for_comparison("  the operator's CPU", round(quiet.cpu / quiet.minutes, 2), "s/min", quiet.busy),
        for_comparison("  its memory", round(quiet.rss), "MiB"),
    ]


def _one_change(fleet: Fleet) -> Iterator[Row]:
    """Change one quota of them all: its calls, of which its sidecars are told, and then what its pods have of nodes."""
    agents = fleet.agents // fleet.quotas
    changes = {"apiCalls": 9_000, "memory": "128Mi"}
    for resource, most in changes.items():
        mark = fleet.bed.audit.mark()
        fleet.merge_limits(0, *({**each, "max": most} if each["resource"] == resource else each for each in LIMITS))
        with fleet.bed.progress.step(f"one quota's {resource} changed", announce=True):
            fleet.bed.rest(CHANGE_SECONDS)
        writes = fleet.written(mark)
        said = kinds(writes)
        if resource == "apiCalls":
            yield at_most("one change of one quota's apiCalls: writes it causes", len(writes), 1, "", said)
        else:
            what = f"one change of one quota's {resource}, {agents} agents resized: writes it causes"
            yield for_comparison(what, len(writes), "", said)
    fleet.merge_limits(0, *LIMITS)


def _limit_seconds(fleet: Fleet) -> None:
    """Limit pods' seconds besides: of one half of the quotas' agents together, of the other half's each."""
    pods = fleet.agents // fleet.quotas
    shared: Raw = {"resource": "podSeconds", "max": 100 * STEP_SECONDS * pods, "window": "Day", "scope": "Shared"}
    each: Raw = {"resource": "podSeconds", "max": 100 * STEP_SECONDS, "window": "Day", "scope": "PerAgent"}
    mark = fleet.bed.audit.mark()
    with fleet.bed.progress.step("every quota limits pods' seconds", announce=True):
        for number in range(fleet.quotas):
            fleet.merge_limits(number, *LIMITS, each if number % 2 else shared)
        # Each agent under a limit of its own is told once when its run began, and then not until that ends.
        own = fleet.agents // 2
        fleet.bed.eventually(lambda: _told(fleet, mark) >= own, "agents know when they began", timeout=300, step=2)
        fleet.operator.wait_idle()
        fleet.bed.rest(2 * LEAST_SECONDS)


def _told(fleet: Fleet, mark: int) -> int:
    return len({each.name for each in fleet.written(mark) if each.resource == "agents/status"})


def _counting_rows(fleet: Fleet, quiet: Quiet) -> list[Row]:
    """Their use never stands still, so what is a change is bounded: a hundredth of a limit, and ten seconds."""
    which = f"{fleet.agents:,} agents under {fleet.quotas} quotas with podSeconds, 1 % of each a minute"
    times = quiet.by_quota()
    others = [each for each in quiet.writes if each.resource != "quotas/status"]
    most = max((len(each) for each in times.values()), default=0)
    gaps = [later - before for each in times.values() for before, later in itertools.pairwise(each)]
    least = min(gaps, default=float("inf"))
    steps = int(quiet.seconds // STEP_SECONDS) + 1
    said = f"{quiet.minutes:.0f} quiet min: {kinds(quiet.writes)}; besides, {quiet.leases} renewals of the Lease"
    return [
        for_comparison(f"{which}: writes/min", round(len(quiet.writes) / quiet.minutes, 1), "", said),
        at_most(f"  of one quota's status in {quiet.minutes:.0f} min, the most", most, steps, ""),
        Row(
            "  between two of one quota's status, the least",
            f">= {LEAST_SECONDS:g}",
            round(least, 2),
            "s",
            least >= LEAST_SECONDS - JITTER_SECONDS,
        ),
        at_most("  of anything else", len(others), 0, "", kinds(others)),
        *_use_rows(quiet),
    ]
