"""Connectors and their cache: are the backends there, are they quick, and how often are they spared."""

from tools.dashboards.expressions import largest, mean, quantile, rate, ratio, smallest, top, total
from tools.dashboards.panel import Colour, Dashboard, Row, Unit, Variable, bars, figure, graph
from tools.dashboards.places import CONNECTORS, TO_AGENT

_NAMESPACE = 'namespace=~"$namespace"'
_HERE = f'{_NAMESPACE},connector=~"$connector"'
_CONNECTOR = ("namespace", "connector")
_ENDPOINT = (*_CONNECTOR, "endpoint")
_NAME, _ENDPOINT_NAME = "{{namespace}}/{{connector}}", "{{namespace}}/{{connector}} {{endpoint}}"
_HEALTHY = f"ringfence_endpoint_healthy{{{_HERE}}}"
_CALLS = "ringfence_sidecar_calls_total"
_CACHE = "ringfence_sidecar_cache"


def _hit_share(*labels: str) -> str:
    hits = total(rate(f"{_CACHE}_hits_total", _HERE), *labels)
    return ratio(hits, f"({hits} + {total(rate(f'{_CACHE}_misses_total', _HERE), *labels)})")


def _by_connector(metric: str) -> tuple[str, str]:
    return top(total(rate(f"{_CACHE}_{metric}_total", _HERE), *_CONNECTOR)), _NAME


_NOW = (
    figure(
        "Healthy endpoints",
        "The share of all endpoints, as each sidecar sees them.",
        Unit.SHARE,
        mean(_HEALTHY),
        base=Colour.ACT,
        steps=((0.5, Colour.LOOK), (1, Colour.FINE)),
    ),
    figure("Calls", "Calls in a second.", Unit.REQUESTS_PER_SECOND, total(rate(_CALLS, _HERE))),
    figure(
        "Slowest calls",
        "99th percentile.",
        Unit.SECONDS,
        quantile(0.99, "ringfence_sidecar_call_seconds", _HERE),
        steps=((5, Colour.LOOK), (30, Colour.ACT)),
    ),
    figure("From the cache", "The share of answers that were kept, of those that may be.", Unit.SHARE, _hit_share()),
    figure(
        "Redis answers",
        "The share of sidecars that reach it.",
        Unit.SHARE,
        mean(f"{_CACHE}_reachable{{{_NAMESPACE}}}"),
        base=Colour.ACT,
        steps=((0.5, Colour.LOOK), (1, Colour.FINE)),
    ),
    figure(
        "Kept in sidecars",
        "Bytes of answers in the sidecars' own memory.",
        Unit.BYTES,
        total(f"{_CACHE}_local_bytes{{{_NAMESPACE}}}"),
    ),
)

_ENDPOINTS = (
    graph(
        "Endpoints least healthy",
        "The share of sidecars whose last check was served.",
        Unit.SHARE,
        (f"bottomk(10, {mean(_HEALTHY, *_ENDPOINT)})", _ENDPOINT_NAME),
        most=1,
    ),
    graph(
        "Circuit breakers",
        "How many are in each state; open ones let no call through.",
        Unit.COUNT,
        (total(f"ringfence_endpoint_breaker{{{_HERE}}}", "state"), "{{state}}"),
        is_stacked=True,
    ),
    graph(
        "Attempts",
        "By what became of them: lost ones found nobody there.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate("ringfence_endpoint_attempts_total", _HERE), "result"), "{{result}}"),
    ),
    graph(
        "Backends' time for an attempt",
        "On average, of those that were served.",
        Unit.SECONDS,
        (
            top(
                ratio(
                    total(rate("ringfence_endpoint_seconds_total", _HERE), *_ENDPOINT),
                    total(rate("ringfence_endpoint_attempts_total", f'{_HERE},result="served"'), *_ENDPOINT),
                )
            ),
            _ENDPOINT_NAME,
        ),
        steps=((5, Colour.LOOK),),
    ),
    graph(
        "Health checks",
        "How long the last one took, in the slowest sidecar.",
        Unit.SECONDS,
        (top(largest(f"ringfence_endpoint_check_seconds{{{_HERE}}}", *_ENDPOINT)), _ENDPOINT_NAME),
        steps=((2, Colour.LOOK),),
    ),
    graph(
        "Sessions",
        "Of all sidecars.",
        Unit.COUNT,
        (total(f"ringfence_endpoint_sessions{{{_HERE}}}", "state"), "{{state}}"),
        is_stacked=True,
    ),
)

_ALL_CALLS = (
    graph(
        "Calls by status",
        "How they ended.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_CALLS, _HERE), "status"), "{{status}}"),
        is_stacked=True,
    ),
    graph(
        "Slowest connectors",
        "95th percentile of calls.",
        Unit.SECONDS,
        (top(quantile(0.95, "ringfence_sidecar_call_seconds", _HERE, *_CONNECTOR)), _NAME),
        steps=((5, Colour.LOOK),),
    ),
    bars(
        "Agents that call the most",
        "Calls in a second.",
        Unit.REQUESTS_PER_SECOND,
        (top(total(rate(_CALLS, _HERE), "namespace", "agent")), "{{namespace}}/{{agent}}"),
        link=TO_AGENT,
    ),
    graph(
        "Kinds' own figures",
        "Such as leases of messages, channels, and results that are still open; of all sidecars.",
        Unit.COUNT,
        (top(total(f"ringfence_connector_gauge{{{_HERE}}}", *_CONNECTOR, "name")), f"{_NAME} {{{{name}}}}"),
    ),
)

_KEPT = (
    graph(
        "Share from the cache",
        "Least of all first: a connector whose answers are never asked for again need not keep them.",
        Unit.SHARE,
        (f"bottomk(10, {_hit_share(*_CONNECTOR)})", _NAME),
        most=1,
    ),
    graph(
        "Hits by layer",
        "The sidecar's own memory, and the shared Redis.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(f"{_CACHE}_hits_total", _HERE), "layer"), "{{layer}}"),
        is_stacked=True,
    ),
    graph("Misses", "Answers that were not kept.", Unit.REQUESTS_PER_SECOND, _by_connector("misses")),
    graph(
        "Questions to backends",
        "Less than misses where callers waited for one another's.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(f"{_CACHE}_loads_total", _HERE)), "asked"),
        (total(rate(f"{_CACHE}_joined_total", _HERE)), "waited for another's"),
    ),
    graph(
        "Past their ttl",
        "Answers served although they were stale, as the Connector allows when its backend is away.",
        Unit.REQUESTS_PER_SECOND,
        _by_connector("stale"),
        steps=((0.1, Colour.LOOK),),
    ),
    graph(
        "Age of answers",
        "On average, of those that were kept.",
        Unit.SECONDS,
        (
            top(
                ratio(
                    total(rate(f"{_CACHE}_age_seconds_total", _HERE), *_CONNECTOR),
                    total(rate(f"{_CACHE}_hits_total", _HERE), *_CONNECTOR),
                )
            ),
            _NAME,
        ),
    ),
    graph("Bytes kept", "Put into the cache in a second.", Unit.BYTES_PER_SECOND, _by_connector("kept_bytes")),
    graph(
        "Invalidations",
        "Times that a write, or an agent, made kept answers worthless.",
        Unit.PER_SECOND,
        _by_connector("invalidations"),
    ),
    graph(
        "Redis, as sidecars see it",
        "The share that reaches it, where fewest do.",
        Unit.SHARE,
        (smallest(mean(f"{_CACHE}_reachable{{{_NAMESPACE}}}", "namespace")), "reachable"),
        most=1,
    ),
)

DASHBOARD = Dashboard(
    uid=CONNECTORS,
    title="Ringfence / Connectors and cache",
    about="Endpoints of connectors, the calls that they serve, and the answers that are kept.",
    variables=(
        Variable(name="namespace", label="namespace", metric="ringfence_endpoint_healthy"),
        Variable(name="connector", label="connector", metric=f"ringfence_endpoint_healthy{{{_NAMESPACE}}}"),
    ),
    rows=(
        Row("Now", _NOW),
        Row("Endpoints", _ENDPOINTS),
        Row("Calls", _ALL_CALLS),
        Row("Cache", _KEPT),
    ),
)
