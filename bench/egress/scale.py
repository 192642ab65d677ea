"""A thousand policies: what the gateway holds, how soon it has them, and what one change among them costs."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.egress.bed import Bed, allowing, is_enforced
from bench.egress.change import OTHER, Timed, bounded, change_often
from bench.egress.fresh import measure_fresh
from bench.egress.traffic import Seat
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from tests.e2e.kube import Body, address

FEW, MANY, QUICK_MANY = 10, 1000, 40
CHANGES, QUICK_CHANGES = 20, 4
WRITERS = 8
GROWTH = 1.5
"""A change among many may send this much of what it sends among few: the sizes of names differ a little."""


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
    yield from measure_fresh(bed, namespace, many)


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


def _change_rows(changed: Changed) -> list[Row]:
    what = f"one change among {changed.policies:,} policies -> in force"
    return [
        bounded(f"{what}, p50 of {len(changed.times)}", quantile(changed.times, 0.5), 1000),
        for_comparison("  the slowest", f"{max(changed.times):g}", "ms"),
        for_comparison("  sent to both gateways", round(changed.bytes), "bytes"),
    ]
