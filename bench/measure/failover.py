"""How long nobody writes after the leader's death, and that nothing is written twice."""

import time

from bench.audit import Write, made_twice
from bench.bed import RATE, Bed
from bench.manifests import PODS
from bench.replica import Replica
from bench.row import Row, at_most

COUNT = 500
KILL_AFTER = 5.0


def measure_failover(bed: Bed) -> list[Row]:
    """The leader of two replicas is killed (-9) while agents are created at 20/s."""
    namespace = bed.namespace()
    first = bed.replica("one")
    first.wait_leading()
    second = bed.replica("two")
    second.wait_ready()
    bed.settle_namespace(namespace)
    bed.rest()
    mark = bed.audit.mark()
    run = bed.start_agents(namespace, prefix="failover", count=COUNT, rate=RATE)
    time.sleep(KILL_AFTER)
    killed = time.time()
    first.kill()
    load = run.result()
    second.wait_idle()
    bed.rest()
    writes = list(bed.audit.writes(mark))
    lost = COUNT - bed.count(PODS.format(namespace)) + len(load.failures)
    bed.keep("failover", _timeline(writes, killed, first, second))
    second.stop()
    bed.drop(namespace)
    return _rows(writes, killed, lost, first, second)


def _rows(writes: list[Write], killed: float, lost: int, first: Replica, second: Replica) -> list[Row]:
    by_first = [write for write in writes if write.credential == first.credential and not write.is_lease]
    by_second = [write for write in writes if write.credential == second.credential and not write.is_lease]
    took_over = min(write.received for write in by_second)
    lease = min(write.answered for write in writes if write.credential == second.credential and write.is_lease)
    late = [write for write in by_first if write.received >= took_over]
    early = [write for write in by_second if write.received < killed]
    gap = took_over - max(write.answered for write in by_first)
    note = f"the Lease {lease - killed:.1f} s after the kill; {gap:.1f} s between the last write and the next one"
    return [
        at_most(
            "failover: kill -9 of the leader -> the second one's first write",
            round(took_over - killed, 1),
            15,
            "s",
            note,
        ),
        at_most(
            "  writes by both at once",
            len(late) + len(early),
            0,
            "writes",
            f"{len(by_first)} by the first, {len(by_second)} by the second",
        ),
        at_most("  pods created twice, or lost", len(made_twice(writes)) + lost, 0, "pods"),
    ]


def _timeline(writes: list[Write], killed: float, first: Replica, second: Replica) -> list[tuple[float, str, str, str]]:
    names = {first.credential: "one", second.credential: "two"}
    return [
        (round(write.received - killed, 4), names[write.credential], write.verb, write.resource)
        for write in writes
        if write.credential in names
    ]
