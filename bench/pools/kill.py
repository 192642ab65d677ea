"""Claims while the operator and the API server are killed (-9)."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench.manifests import AGENTS, PODS, Raw, named
from bench.pools.account import claimed_again, standing
from bench.pools.bed import PoolBed
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
RETRY_SECONDS = 0.2


def measure_kill(bed: PoolBed) -> Iterator[Row]:
    """Two thousand claims; the operator is killed twenty times meanwhile, and the API server twice."""
    count, kills = (QUICK_COUNT, QUICK_KILLS) if bed.is_quick else (COUNT, KILLS)
    namespace = bed.namespace()
    with bed.operating(LEASE_SECONDS=LEASE_SECONDS) as operator:
        bed.fill(namespace, count)
        mark, began = bed.audit.mark(), time.monotonic()
        with _creating(bed, namespace, count, kills * CYCLE_SECONDS / count) as creating:
            for number in range(kills):
                time.sleep(PAUSE_SECONDS)
                _kill(bed, operator, with_server=_takes_server(number, kills))
            creating.join(LONGEST_SECONDS)
        with suppress(TimeoutError):
            bed.eventually(lambda: not _lacking(bed, namespace, count), "all served", timeout=LONGEST_SECONDS, step=3)
        took = time.monotonic() - began
        with suppress(TimeoutError):
            bed.until_warm(namespace, count)
        operator.wait_idle()
        bed.rest(5)
        agents, pods = _items(bed, AGENTS.format(namespace)), _items(bed, PODS.format(namespace))
        found, again = standing(agents, pods), claimed_again(bed.audit.by_operator(mark))
        bed.keep("kill", {"standing": [found.unserved, found.doubled, found.misled, found.stray], "again": again})
        note = f"{count:,} claims; {kills} kills of the operator, {SERVER_KILLS} of the API server"
        missing = count - len(agents) + len(found.unserved)
        yield at_most("killed amid claims: agents never served", missing, 0, "agents", note)
        yield at_most("  agents with two pods", len(found.doubled), 0, "agents")
        yield at_most("  agents whose status names another pod", len(found.misled), 0, "agents")
        yield at_most("  pods claimed twice", len(again), 0, "pods", ", ".join(again[:5]))
        yield at_most("  pods that are nobody's", len(found.stray), 0, "pods", ", ".join(found.stray[:5]))
        yield for_comparison("  all served after", round(took, 1), "s")
        bed.clear(namespace)


def _takes_server(number: int, kills: int) -> bool:
    """Return True if the API server is killed with the operator's `number`-th end, spread over them all."""
    return number % (kills // SERVER_KILLS) == 1


@contextmanager
def _creating(bed: PoolBed, namespace: str, count: int, pause: float) -> Iterator[threading.Thread]:
    """Create agents in a thread of its own, which ends with the block whatever happens."""
    ended = threading.Event()
    thread = threading.Thread(target=_create, args=(bed, namespace, count, pause, ended), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        ended.set()
        thread.join(60)


def _create(bed: PoolBed, namespace: str, count: int, pause: float, ended: threading.Event) -> None:
    """Create the agents one after the other, as somebody does who tries again until the API server answers."""
    api = Api(bed.cluster)
    for number in range(count):
        body = named(claimant(), f"kill-{number:05}")
        while not ended.is_set():
            with suppress(ApiUnavailableError):
                status, _ = api.request("POST", AGENTS.format(namespace), body)
                # One that was made although its answer was lost is there.
                if status in (201, 409):
                    break
            time.sleep(RETRY_SECONDS)
        ended.wait(pause)


def _kill(bed: PoolBed, operator: Replica, *, with_server: bool) -> None:
    operator.kill()
    if with_server:
        stop(bed.cluster, running(bed.cluster)["kube-apiserver"], grace=0)
        start_api_server(bed.cluster)
        wait_for_api_server(bed.cluster)
    operator.start()
    operator.wait_leading()


def _lacking(bed: PoolBed, namespace: str, count: int) -> bool:
    agents = _items(bed, AGENTS.format(namespace))
    return sum("podUID" in each.get("status", {}) for each in agents) < count


def _items(bed: PoolBed, collection: str) -> list[Raw]:
    """List a collection, again while the API server, or what it has to have first, is not up yet."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        with suppress(ApiUnavailableError):
            status, text = bed.api.request("GET", collection)
            if status == 200:
                found: list[Raw] = json.loads(text)["items"]
                return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {LONGEST_SECONDS:.0f} s: GET {collection}")
        time.sleep(RETRY_SECONDS)
