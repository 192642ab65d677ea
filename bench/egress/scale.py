"""A thousand policies: what the gateway holds, how soon it has them, and what one change among them costs."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.egress.bed import PORTS, Bed, allowing, is_enforced
from bench.egress.change import OTHER, Timed, bounded, change_often
from bench.egress.gateway import GatewayPod
from bench.egress.killed import await_two
from bench.egress.traffic import Seat
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from devcluster.process import start_time
from tests.e2e.installation import GATEWAY
from tests.e2e.kube import Body, RefusedError, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import PodHandle

FEW, MANY, QUICK_MANY = 10, 1000, 40
CHANGES, QUICK_CHANGES = 20, 4
FRESH, QUICK_FRESH = 3, 1
WRITERS = 8
GROWTH = 1.5
"""A change among many may send this much of what it sends among few: the sizes of names differ a little."""
TICKS = 100.0


@dataclass(frozen=True, slots=True)
class Changed:
    """Changes among so many policies, and the bytes sent for each."""

    policies: int
    changes: list[Timed]
    bytes: float

    @property
    def times(self) -> list[float]:
        """Milliseconds until in force."""
        return [each.ms for each in self.changes]

    def as_json(self) -> dict[str, Any]:
        """Return it for the file of samples."""
        return {"bytes": self.bytes, "changes": [each.as_json() for each in self.changes]}


def measure_scale(bed: Bed) -> Iterator[Row]:
    """Policies are made by API writes with the real operator; an agent under one of them tries all the time.

    Comes last in its cluster: to take a thousand policies away would take longer than to begin anew.
    """
    namespace = bed.namespace()
    seat = bed.seat(namespace, "changing", allowing(OTHER))
    many = bed.count(MANY, QUICK_MANY)
    with bed.progress.step(f"{FEW} policies", announce=True):
        _create(bed, namespace, range(1, FEW))
    few = _changed(bed, namespace, seat, FEW)
    yield from _change_rows(few)
    with bed.progress.step(f"{many:,} policies", announce=True):
        yield _create(bed, namespace, range(FEW, many))
    yield from _memory(bed, many)
    among = _changed(bed, namespace, seat, many)
    yield from _change_rows(among)
    growth = round(among.bytes / few.bytes, 2)
    yield at_most(f"  bytes among {many:,} over bytes among {FEW}", growth, GROWTH, "x")
    yield _fresh(bed, namespace, many)


def _changed(bed: Bed, namespace: str, seat: Seat, policies: int) -> Changed:
    bed.rest(5)
    before = bed.gauge("ringfence_control_sent_bytes_total")
    count = bed.count(CHANGES, QUICK_CHANGES)
    found = change_often(bed, namespace, "changing", seat, count)
    sent = bed.gauge("ringfence_control_sent_bytes_total") - before
    changed = Changed(policies, found, sent / count)
    bed.keep(f"changes among {policies}", changed.as_json())
    return changed


def network_of(number: int, names: int) -> Body:
    """Return the network of one policy: names of its own, one of them a wildcard; every tenth has a further port."""
    allowed: list[Body] = [{"name": f"service-{each}.team-{number}.example"} for each in range(names - 2)]
    last: Body = {"name": f"api.team-{number}.test"} | ({"ports": [443, 8443]} if number % 10 == 0 else {})
    allowed += [{"name": f"*.team-{number}.test"}, last]
    return {"allowedDomains": allowed, "blockedDomains": [{"name": f"blocked.team-{number}.test"}]}


def _create(bed: Bed, namespace: str, numbers: range) -> Row:
    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda each: bed.policy(namespace, f"policy-{each}", network_of(each, bed.names)), numbers))
    written = time.monotonic() - began
    told = 0.0

    def are_enforced() -> bool:
        nonlocal told
        items = bed.kube.items(address("SecurityPolicy", namespace))
        count = sum(is_enforced(each) for each in items)
        if time.monotonic() - told > 5:
            bed.progress.note(f"{count} of {len(items)} in force")
            told = time.monotonic()
        return count == len(items)

    bed.eventually(are_enforced, "all policies are in force on both gateways", timeout=600, step=1.0)
    seconds = time.monotonic() - began
    what = f"{len(numbers):,} policies of {bed.names} names: first one written -> all in force, twice"
    return for_comparison(what, round(seconds, 1), "s", f"writing them took {written:.1f} s of that")


def _memory(bed: Bed, policies: int) -> list[Row]:
    pods = bed.gateways()
    envoys, names = ([getattr(each, use)().rss for each in pods] for use in ("envoy_use", "names_use"))
    what = f"gateway RSS with {policies:,} policies of {bed.names} names, the larger"
    return [
        at_most(f"{what} Envoy", round(max(envoys)), 300, "MiB", f"{_list(envoys)} MiB"),
        for_comparison("  the larger process beside it", round(max(names)), "MiB", f"{_list(names)} MiB"),
    ]


def _list(numbers: list[float]) -> str:
    return " and ".join(f"{each:.0f}" for each in numbers)


def _fresh(bed: Bed, namespace: str, policies: int) -> Row:
    """Delete a replica, and time the one that comes instead of it, some times."""
    loads = []
    for _ in range(bed.count(FRESH, QUICK_FRESH)):
        loads.append(_one_fresh(bed, namespace))
        bed.progress.note(f"a fresh gateway is ready after {loads[-1]:.2f} s")
    bed.keep("fresh gateway", loads)
    what = f"a fresh gateway with {policies:,} policies: process started -> ready with all"
    return at_most(f"{what}, the slowest of {len(loads)}", round(max(loads), 2), 3, "s")


def _one_fresh(bed: Bed, namespace: str) -> float:
    await_two(bed)
    # Which replicas there are is told half a minute later: the writes of one replica's death are no part of the next's.
    bed.eventually(lambda: _are_told(bed, namespace), "all policies name both replicas", timeout=180, step=1.0)
    bed.rest(5)
    pods = bed.gateways()
    bed.kube.delete(address("Pod", SYSTEM_NAMESPACE, pods[0].name), gracePeriodSeconds=0)
    fresh = _newcomer(bed, {each.uid for each in pods})
    bed.eventually(lambda: _is_ready(bed, fresh), f"the new replica {fresh.name} is ready", timeout=120, step=0.02)
    ready = time.time()
    seconds = ready - _started(GatewayPod.of(fresh.get()))
    await_two(bed)
    return round(seconds, 2)


def _are_told(bed: Bed, namespace: str) -> bool:
    names = sorted(each.name for each in bed.gateways())
    gateways = (each["status"].get("gateway") or {} for each in bed.kube.items(address("SecurityPolicy", namespace)))
    return all([replica["name"] for replica in each.get("replicas", ())] == names for each in gateways)


def _newcomer(bed: Bed, before: set[str]) -> PodHandle:
    found: list[PodHandle] = []

    def has_come() -> bool:
        pods = bed.kube.items(address("Pod", SYSTEM_NAMESPACE), labelSelector=f"app.kubernetes.io/name={GATEWAY}")
        new = [each for each in pods if each["metadata"]["uid"] not in before]
        running = [each for each in new if GatewayPod.of(each).envoy]
        found[:] = [PodHandle(bed.kube, SYSTEM_NAMESPACE, each["metadata"]["name"]) for each in running]
        return bool(found)

    bed.eventually(has_come, "a new replica runs", timeout=120, step=0.05)
    return found[0]


def _is_ready(bed: Bed, pod: PodHandle) -> bool:
    try:
        return "ok" in bed.page(pod, "/readyz", port=PORTS["names"])
    except RefusedError:
        return False


def _started(pod: GatewayPod) -> float:
    """Return when the later of its processes was started, in Unix seconds."""
    with open("/proc/uptime", encoding="ascii") as file:  # noqa: PTH123 - one number
        booted = time.time() - float(file.read().split()[0])
    return booted + max(start_time(pid) or 0 for pid in (pod.envoy, pod.names)) / TICKS


def _change_rows(changed: Changed) -> list[Row]:
    what = f"one change among {changed.policies:,} policies -> in force"
    return [
        bounded(f"{what}, p50 of {len(changed.times)}", quantile(changed.times, 0.5), 1000),
        for_comparison("  the slowest", f"{max(changed.times):g}", "ms"),
        for_comparison("  sent to both gateways", round(changed.bytes), "bytes"),
    ]
