"""What new connections meet when a replica of the gateway goes without a word."""

import itertools
import time
from collections.abc import Callable, Iterator

from bench.egress.bed import NAME, REFUSED, Bed, allowing
from bench.egress.gateway import GatewayPod
from bench.egress.samples import Attempt, Outage, outage
from bench.row import Row, at_most, for_comparison
from tests.e2e.kube import address
from tests.e2e.replica import SYSTEM_NAMESPACE

RATE = 200.0
SECONDS, QUICK_SECONDS = 20.0, 12.0
KILL_AFTER = 5.0
OLD_SECONDS = 12.0
"""An Envoy that ran for less is the kubelet's to start again."""
ROUNDS, QUICK_ROUNDS = 5, 1


def measure_killed(bed: Bed) -> Iterator[Row]:
    """200 new TLS connections a second, by SNI and CONNECT; of two replicas, one ends in the middle of that."""
    namespace = bed.namespace()
    numbers = itertools.count(1)
    ways: dict[str, Callable[[GatewayPod], None]] = {
        "pod deleted without grace": lambda pod: _delete(bed, pod),
        "all its processes killed (-9)": lambda pod: pod.kill(),
        "Envoy alone killed (-9)": lambda pod: pod.kill([pod.envoy]),
    }
    for title, end in ways.items():
        found = []
        _begin_anew(bed)
        for number in range(bed.count(ROUNDS, QUICK_ROUNDS)):
            with bed.progress.step(f"gateway: {title}, {number + 1}", announce=True):
                await_two(bed)
                # The kernel keeps what was under way to a dead replica by its two addresses and ports: an agent that
                # comes round to the same port is no measure of one that opens its first connections.
                name = f"killed-{next(numbers)}"
                seat = bed.seat(namespace, name, allowing(NAME))
                bed.rest()
                seconds = QUICK_SECONDS if bed.is_quick else SECONDS
                running = seat.start("load", seconds=seconds, rate=RATE, refused=REFUSED)
                time.sleep(KILL_AFTER)
                victim = bed.gateways()[0]
                killed = time.time()
                end(victim)
                tried = running.result()
                # Each asks for a part of the node's two cores, and none would be left for the last.
                bed.kube.delete(address("Agent", namespace, name))
            found.append(outage(tried, killed, refused=REFUSED))
            bed.keep(f"killed: {title}, {number + 1}", _timeline(tried, killed))
        yield from _rows(title, found)
    await_two(bed)
    bed.clear()


def await_two(bed: Bed) -> None:
    """Wait until both replicas are ready and connected again."""
    bed.eventually(lambda: len(bed.gateways()) == 2, "both gateways are ready", timeout=120)
    bed.eventually(lambda: bed.gauge("ringfence_control_gateways") == 2, "both gateways are connected")


def _begin_anew(bed: Bed) -> None:
    """Have replicas of which nothing has ended yet: the kubelet waits longer each time before it starts it again."""
    for pod in bed.gateways():
        _delete(bed, pod)
    await_two(bed)
    bed.rest(OLD_SECONDS)


def _delete(bed: Bed, pod: GatewayPod) -> None:
    bed.kube.delete(address("Pod", SYSTEM_NAMESPACE, pod.name), gracePeriodSeconds=0)


def _timeline(tried: list[Attempt], killed: float) -> list[tuple[float, float, str, str, str]]:
    """Return begin after the kill, length, way, name and error: failures, and one of ten of the others."""
    kept = (each for number, each in enumerate(tried) if each.error or number % 10 == 0)
    return [
        (round(each.began - killed, 4), round(each.ended - each.began, 4), each.way, each.name, each.error)
        for each in kept
    ]


def _rows(title: str, found: list[Outage]) -> list[Row]:
    worst = max(found, key=lambda each: each.seconds)
    total = sum(each.total for each in found)
    all_of = ", ".join(f"{each.seconds:.2f} s ({each.failed})" for each in found)
    note = f"last failure after the kill, and how many failed, in each round: {all_of}"
    return [
        at_most(f"gateway {title}: new connections fail for, at most", round(worst.seconds, 2), 1, "s", note),
        for_comparison("  the slowest that stood or failed", round(max(each.slowest for each in found), 2), "s"),
        at_most("  refused names let through", sum(each.let_through for each in found), 0, f"of {total}"),
    ]
