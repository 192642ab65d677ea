"""An upgrade from the previous release while agents call their sidecars all the time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from bench.audit import Write, kinds
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.upgrade.bed import NAMESPACE, REQUESTS, Bed
from bench.upgrade.fleet import fleet
from bench.upgrade.previous import Release, previous_release
from tests.e2e.chart.helm import Helm
from tests.e2e.connectors.backend import reason
from tests.e2e.connectors.callers import Call, Caller
from tests.e2e.kube import address

QUIET_SECONDS, QUICK_QUIET_SECONDS = 20.0, 5.0
"""How long the calls are looked at before it, for proportion, and after it."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What was seen of one; times are Unix seconds."""

    began: float
    rolled_out: float
    told: float
    """When the last agent had told."""
    ended: float
    outdated: int
    """Agents that told."""
    writes: list[Write]
    """Of the operators, old and new."""


def measure_upgrade(bed: Bed) -> Iterator[Row]:
    """Upgrade operator, gateway and sidecar with Helm; agents call once a second before, meanwhile and after."""
    bed.clear()
    bed.broker()
    count = bed.agents
    with previous_release(bed.previous, cluster=bed.name, other_than=bed.images) as release:
        with bed.progress.step(f"release {release.commit} installed", announce=True):
            Helm(bed.cluster.kubeconfig, release.images, chart=release.chart).install(*REQUESTS, "--create-namespace")
        with ExitStack() as stack:
            with bed.progress.step(f"{count} agents call", announce=True):
                callers = stack.enter_context(fleet(bed, count))
            everyone = [each for found in callers.values() for each in found]
            before, calm = [each.traces() for each in everyone], time.time()
            with bed.progress.step("upgrade", announce=True):
                upgrade = _upgrade(bed, everyone)
            for where, some in callers.items():
                yield from _calls(bed, where, [call for each in some for call in each.calls(since=calm)], upgrade)
            changed = sum(each.traces() != there for each, there in zip(everyone, before, strict=True))
            yield at_most(f"pods replaced, or containers restarted, of {count} agents", changed, 0, "")
            yield from _told(release, upgrade, count)


def _upgrade(bed: Bed, callers: Sequence[Caller]) -> Upgrade:
    quiet = QUICK_QUIET_SECONDS if bed.is_quick else QUIET_SECONDS
    time.sleep(quiet)
    mark, began = bed.audit.mark(), time.time()
    bed.helm().install(*REQUESTS)
    rolled_out = time.time()
    with suppress(TimeoutError):  # who does not tell is counted
        bed.eventually(lambda: _outdated(bed) >= len(callers), "all tell of their sidecars", timeout=120, step=0.5)
    told = time.time()
    time.sleep(quiet)
    for each in callers:  # then no call from before is still under way
        each.until_served(since=told)
    return Upgrade(began, rolled_out, told, time.time(), _outdated(bed), bed.audit.by_operator(mark))


def _outdated(bed: Bed) -> int:
    agents = bed.kube.items(address("Agent", NAMESPACE))
    return sum(reason(each, "SidecarOutdated") == ("True", "SidecarOutdated") for each in agents)


def _calls(bed: Bed, where: str, calls: Sequence[Call], upgrade: Upgrade) -> Iterator[Row]:
    meanwhile = [call for call in calls if upgrade.began <= call.began < upgrade.ended]
    before = [call for call in calls if call.began < upgrade.began]
    failed = [(call.began - upgrade.began, call.status, call.said) for call in meanwhile if call.has_failed]
    bed.keep(f"failed {where}", failed)
    note = f"the first: {failed[0]}" if failed else ""
    yield at_most(f"calls that failed, of {len(meanwhile)} to a broker {where}", len(failed), 0, "", note)
    taken = f"median, p99 and longest; of {len(before)} just before it {_durations(before)}"
    yield for_comparison("  how long they took", _durations(meanwhile), "ms", taken)


def _told(release: Release, upgrade: Upgrade, count: int) -> Iterator[Row]:
    told = upgrade.outdated == count
    note = f"from {release.commit}, sidecar {release.images['sidecar'].rpartition(':')[2]}"
    yield Row("agents that tell SidecarOutdated", f"{count}", upgrade.outdated, "", told, note)
    yield for_comparison("  helm upgrade --wait", round(upgrade.rolled_out - upgrade.began, 1), "s")
    yield for_comparison("  began -> told by all", round(upgrade.told - upgrade.began, 1), "s")
    yield for_comparison("  writes of the operators meanwhile", len(upgrade.writes), "", kinds(upgrade.writes))


def _durations(calls: Sequence[Call]) -> str:
    taken = [call.milliseconds for call in calls]
    return " / ".join(f"{quantile(taken, share):.0f}" for share in (0.5, 0.99, 1)) if taken else "none"
