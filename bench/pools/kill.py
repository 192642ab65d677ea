"""Claims while the operator and the API server are killed (-9)."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from bench.audit import Write
from bench.manifests import AGENTS, named
from bench.pools.bed import PoolBed, twice
from bench.pools.manifests import claimant
from bench.replica import Replica
from bench.row import Row, at_most, for_comparison
from devcluster.api import Api
from devcluster.control_plane import start_api_server, wait_for_api_server
from devcluster.errors import ApiUnavailableError
from devcluster.process import running, stop

COUNT, QUICK_COUNT = 2_000, 200
KILLS, QUICK_KILLS = 20, 4
SERVER_KILLS = 2
PAUSE_SECONDS = 2.0
CYCLE_SECONDS = 8.0
"""A kill, and until the next process has the Lease."""
LEASE_SECONDS = "5"
LONGEST_SECONDS = 300.0


def measure_kill(bed: PoolBed) -> Iterator[Row]:
    """Two thousand claims; the operator is killed twenty times meanwhile, and the API server twice."""
    count, kills = (QUICK_COUNT, QUICK_KILLS) if bed.is_quick else (COUNT, KILLS)
    namespace = bed.namespace()
    with bed.operating(LEASE_SECONDS=LEASE_SECONDS) as operator:
        bed.fill(namespace, count)
        mark, began = bed.audit.mark(), time.monotonic()
        creating = threading.Thread(target=_create, args=(bed, namespace, count, kills * CYCLE_SECONDS / count))
        creating.start()
        for number in range(kills):
            time.sleep(PAUSE_SECONDS)
            _kill(bed, operator, with_server=number % (kills // SERVER_KILLS) == 1)
        creating.join()
        with suppress(TimeoutError):
            bed.eventually(lambda: len(bed.claimed_pods(namespace)) >= count, "all claimed", timeout=LONGEST_SECONDS)
        took = time.monotonic() - began
        operator.wait_idle()
        bed.rest(5)
        pods = bed.claimed_pods(namespace)
        again = _claimed_again(bed.audit.by_operator(mark))
        note = f"{count:,} claims; {kills} kills of the operator, {SERVER_KILLS} of the API server"
        yield at_most("killed amid claims: agents never served", count - len(set(pods.values())), 0, "agents", note)
        yield at_most("  agents with two pods", len(twice(pods)), 0, "agents")
        yield at_most("  pods claimed twice", len(again), 0, "pods")
        yield for_comparison("  all served after", round(took, 1), "s")
        bed.clear(namespace)


def _create(bed: PoolBed, namespace: str, count: int, pause: float) -> None:
    """Create the agents one after the other, as somebody does who tries again until the API server answers."""
    api = Api(bed.cluster)
    for number in range(count):
        body = named(claimant(), f"kill-{number:05}")
        while True:
            with suppress(ApiUnavailableError):
                status, _ = api.request("POST", AGENTS.format(namespace), body)
                # One that was made although its answer was lost is there.
                if status in (201, 409):
                    break
            time.sleep(0.2)
        time.sleep(pause)


def _kill(bed: PoolBed, operator: Replica, *, with_server: bool) -> None:
    operator.kill()
    if with_server:
        stop(bed.cluster, running(bed.cluster)["kube-apiserver"], grace=0)
        start_api_server(bed.cluster)
        wait_for_api_server(bed.cluster)
    operator.start()
    operator.wait_leading()


def _claimed_again(writes: list[Write]) -> list[str]:
    """Return the pods on which a claim's patch has succeeded more than once."""
    patched = Counter(
        each.name for each in writes if (each.verb, each.resource) == ("patch", "pods") and each.succeeded
    )
    return [name for name, number in patched.items() if number > 1]
