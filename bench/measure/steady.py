"""What a settled fleet costs: nothing."""

import time

from bench.audit import Write, kinds
from bench.bed import Bed
from bench.replica import Replica
from bench.row import Row, at_most, for_comparison

FLEET = 500
IDLE_SECONDS = 300
AFTER_RESTART_SECONDS = 20


def measure_steady(bed: Bed) -> list[Row]:
    """Writes of five idle minutes, and of a restart, with 500 settled agents."""
    fleet, idle = (100, 30) if bed.is_quick else (FLEET, IDLE_SECONDS)
    namespace = bed.namespace()
    with bed.operator() as operator:
        bed.run_agents(namespace, prefix="settled", count=fleet)
        operator.wait_idle()
        bed.rest(20)  # the policies' count of agents follows within this time
        rows = _idle(bed, operator, fleet, idle)
        mark = bed.audit.mark()
    rows += _restart(bed, fleet, mark)
    bed.drop(namespace)
    return rows


def _idle(bed: Bed, operator: Replica, fleet: int, seconds: float) -> list[Row]:
    mark, cpu = bed.audit.mark(), operator.use().cpu
    with bed.progress.step(f"{seconds:.0f} idle seconds with {fleet} agents", announce=True):
        bed.rest(seconds)
    writes = _settled_writes(bed, mark, "idle")
    leases = sum(write.is_by_operator and write.is_lease for write in bed.audit.writes(mark))
    cpu = operator.use().cpu - cpu
    note = f"{kinds(writes)}; besides, {leases} renewals of the Lease{_disturbance(bed, mark)}"
    return [
        at_most(f"writes in {seconds:.0f} idle s, {fleet} settled agents", len(writes), 0, "writes", note),
        for_comparison("  the operator's CPU in that time", round(cpu, 2), "s"),
    ]


def _restart(bed: Bed, fleet: int, mark: int) -> list[Row]:
    """The old replica has been stopped since `mark`; start another one."""
    began = time.monotonic()
    with bed.operator() as operator:
        operator.wait_idle(passes=fleet)
        seconds = time.monotonic() - began
        cpu = operator.use().cpu
        bed.rest(AFTER_RESTART_SECONDS)
        writes = _settled_writes(bed, mark, "restart")
    looked = f"all looked at {seconds:.1f} s after the start, {cpu:.2f} CPU s"
    note = f"{kinds(writes)}; {looked}{_disturbance(bed, mark)}"
    return [at_most(f"writes caused by a restart, {fleet} settled agents", len(writes), 0, "writes", note)]


def _settled_writes(bed: Bed, mark: int, name: str) -> list[Write]:
    writes = bed.audit.by_operator(mark)
    bed.keep(name, [(write.verb, write.resource, write.name, write.code) for write in writes])
    return writes


def _disturbance(bed: Bed, mark: int) -> str:
    """Say what others did to the pods: on an overloaded machine nodes are lost, and a status has to follow."""
    others = [each for each in bed.audit.writes(mark) if not each.is_by_operator and each.resource.startswith("pods")]
    return f"; NOT SETTLED, others wrote: {kinds(others)}" if others else ""
