"""How many API writes one agent costs."""

from bench.audit import kinds
from bench.bed import Bed
from bench.row import Row, at_most

AGENTS = 5


def measure_writes(bed: Bed) -> list[Row]:
    """Plain agents, created cold one after the other, namespace and policy settled; Events included."""
    namespace = bed.namespace()
    with bed.operator() as operator:
        bed.settle_namespace(namespace)
        operator.wait_idle()
        bed.rest()
        mark = bed.audit.mark()
        for number in range(AGENTS):
            bed.run_agents(namespace, prefix=f"cold-{number}", count=1)
        bed.rest(5)  # a late Event or status counts too
        writes = bed.audit.by_operator(mark)
    bed.keep("writes", [[write.verb, write.resource, write.name] for write in writes])
    bed.drop(namespace)
    figure = len(writes) / AGENTS
    return [
        at_most("API writes, one cold agent, create -> Ready", figure, 3, "writes", f"{AGENTS} agents: {kinds(writes)}")
    ]
