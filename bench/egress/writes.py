"""What a policy costs the API server: when it is created, and while agents work under it."""

from collections import Counter

from bench.audit import Write, kinds
from bench.egress.bed import NAME, REFUSED, Bed, allowing
from bench.row import Row, at_most

POLICIES = 5
SECONDS, QUICK_SECONDS = 120.0, 20.0
RATE = 20.0
LATE = 5.0
"""Seconds in which what belongs to the creation is written."""


def measure_writes(bed: Bed) -> list[Row]:
    """Policies created one after the other; then agents that connect to an allowed and a refused name all the time."""
    namespace = bed.namespace()
    return [_created(bed, namespace), _steady(bed, namespace)]


def _created(bed: Bed, namespace: str) -> Row:
    bed.rest(LATE)
    mark = bed.audit.mark()
    names = [f"writes-{number}" for number in range(POLICIES)]
    for name in names:
        bed.policy(namespace, name, allowing(NAME))
        bed.until_enforced(namespace, name)
    bed.rest(LATE)
    writes = bed.audit.by_operator(mark)
    bed.keep("writes created", raw(writes))
    note = f"{POLICIES} policies: {kinds(writes)}"
    return at_most("API writes, one policy created -> in force", len(writes) / POLICIES, 5, "writes", note)


def _steady(bed: Bed, namespace: str) -> Row:
    seat = bed.seat(namespace, "steady", allowing(NAME))
    seconds = QUICK_SECONDS if bed.is_quick else SECONDS
    bed.rest(LATE)
    mark = bed.audit.mark()
    with bed.progress.step(f"{seconds:.0f} s of traffic", announce=True):
        tried = seat.start("load", seconds=seconds, rate=RATE, refused=REFUSED).result()
    writes = bed.audit.by_operator(mark)
    bed.keep("writes steady", raw(writes))
    bed.clear()
    refused = sum(not each.succeeded for each in tried)
    note = f"{len(tried)} connections tried, {refused} of them refused; in all {kinds(writes)}"
    what = f"API writes a minute, {seconds:.0f} s of traffic, the policy with most"
    return at_most(what, round(most_of_one(writes) / seconds * 60, 2), 2, "writes", note)


def most_of_one(writes: list[Write]) -> int:
    """Return how many writes the object had that was written most often."""
    counts = Counter((write.resource, write.namespace, write.name) for write in writes)
    return max(counts.values(), default=0)


def raw(writes: list[Write]) -> list[tuple[str, str, str, int]]:
    """Return them for the file of samples."""
    return [(write.verb, write.resource, write.name, write.code) for write in writes]
