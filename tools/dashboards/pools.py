"""Pools: does the next agent find a warm pod, how long do agents wait, how fast is a pool full again."""

from tools.dashboards.expressions import increase, largest, quantile, rate, ratio, top, total
from tools.dashboards.panel import Colour, Dashboard, Panel, Row, Unit, Variable, bars, figure, graph
from tools.dashboards.places import POOLS

_HERE = 'namespace=~"$namespace",pool=~"$pool"'
_POOL = ("namespace", "pool")
_NAME = "{{namespace}}/{{pool}}"
_HITS, _MISSES = "ringfence_pool_hits_total", "ringfence_pool_misses_total"


def _pods(state: str, *labels: str) -> str:
    """Return the number of pods in a state: each replica of the operator counts all of them."""
    return total(largest(f'ringfence_pool_pods{{{_HERE},state="{state}"}}', *_POOL), *labels)


def _asked(metric: str, *labels: str) -> str:
    """Return how many agents have found a warm pod, or none, in the time shown."""
    return total(largest(increase(metric, _HERE), *_POOL), *labels)


def _waiting(*labels: str) -> str:
    return total(largest(f"ringfence_pool_waiting_agents{{{_HERE}}}", *_POOL), *labels)


def _quantiles(title: str, about: str, histogram: str, *, slow: float) -> Panel:
    return graph(
        title,
        about,
        Unit.SECONDS,
        *((quantile(share, histogram, _HERE), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)),
        steps=((slow, Colour.LOOK),),
    )


_NOW = (
    figure("Warm", "Pods that agents can claim now.", Unit.COUNT, _pods("warm")),
    figure("Claimed", "Pods of pools that agents have.", Unit.COUNT, _pods("claimed")),
    figure(
        "Waiting",
        "Agents that wait for a warm pod.",
        Unit.COUNT,
        _waiting(),
        steps=((1, Colour.LOOK), (10, Colour.ACT)),
    ),
    figure(
        "Failed",
        "Pods that failed, or cannot start: the pool's Ready condition says why.",
        Unit.COUNT,
        _pods("failed"),
        steps=((1, Colour.ACT),),
    ),
    figure(
        "Hits",
        "The share of agents that found a warm pod at once, in the time shown.",
        Unit.SHARE,
        # Only of what the operator counted: without any agent there is no share.
        ratio(_asked(_HITS), f"({_asked(_HITS)} + {_asked(_MISSES)})"),
        base=Colour.ACT,
        steps=((0.5, Colour.LOOK), (0.95, Colour.FINE)),
    ),
    figure(
        "Wait for a pod",
        "99th percentile, of agents that waited for the next one, too.",
        Unit.SECONDS,
        quantile(0.99, "ringfence_pool_assigned_seconds", _HERE),
        steps=((0.1, Colour.LOOK), (5, Colour.ACT)),
    ),
)

_CLAIMS = (
    _quantiles(
        "From agent to pod",
        "From when the operator saw a new agent to its status naming a pod of its pool.",
        "ringfence_pool_assigned_seconds",
        slow=0.1,
    ),
    _quantiles(
        "From agent to command",
        "From when the operator saw a new agent to its status saying that its command runs.",
        "ringfence_pool_started_seconds",
        slow=0.3,
    ),
    graph(
        "Hits and misses",
        "Agents that found a warm pod at once, and that did not.",
        Unit.PER_SECOND,
        (total(largest(rate(_HITS, _HERE), *_POOL)), "hits"),
        (total(largest(rate(_MISSES, _HERE), *_POOL)), "misses"),
        is_stacked=True,
    ),
    graph(
        "Agents that wait",
        "The pools with the most.",
        Unit.COUNT,
        (top(_waiting(*_POOL)), _NAME),
    ),
    bars(
        "Pools with the most misses",
        "Agents that found no warm pod, in the time shown: a larger size would have had one for them.",
        Unit.COUNT,
        (top(_asked(_MISSES, *_POOL)), _NAME),
    ),
    bars(
        "Pools with pods that fail",
        "Pods that failed, or cannot start.",
        Unit.COUNT,
        (top(_pods("failed", *_POOL)), _NAME),
        steps=((1, Colour.ACT),),
    ),
)

_REFILL = (
    graph(
        "Pods by state",
        "Warm ones fall with each claim and come back with the refill.",
        Unit.COUNT,
        (
            total(largest(f"ringfence_pool_pods{{{_HERE}}}", *_POOL, "state"), "state"),
            "{{state}}",
        ),
        is_stacked=True,
    ),
    graph(
        "Warm of what is asked for",
        "The share of size that is warm; the pools with the least.",
        Unit.SHARE,
        (
            "bottomk(10, "
            + ratio(_pods("warm", *_POOL), f"({largest(f'ringfence_pool_size{{{_HERE}}}', *_POOL)} > 0)")
            + ")",
            _NAME,
        ),
        most=1,
    ),
    graph(
        "Refill",
        "Pods made for pools; those with the most.",
        Unit.PER_SECOND,
        (top(total(rate("ringfence_pool_pods_made_total", _HERE), *_POOL)), _NAME),
    ),
    _quantiles(
        "How long pods take to be warm",
        "From a pod's creation to its being ready: with the rate of claims, this says how large a pool has to be.",
        "ringfence_pool_pod_start_seconds",
        slow=30,
    ),
)

DASHBOARD = Dashboard(
    uid=POOLS,
    title="Ringfence / Pools",
    about="Whether agents find warm pods, how long they wait, and how fast pools are full again.",
    variables=(
        Variable(name="namespace", label="namespace", metric="ringfence_pool_size"),
        Variable(name="pool", label="pool", metric='ringfence_pool_size{namespace=~"$namespace"}'),
    ),
    rows=(Row("Now", _NOW), Row("Claims", _CLAIMS), Row("Refill", _REFILL)),
)
