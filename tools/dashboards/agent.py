"""One agent: what it asks of its connectors, and what becomes of it."""

from tools.dashboards.expressions import largest, quantile, quantiles, rate, total
from tools.dashboards.panel import Colour, Dashboard, Row, Unit, Variable, figure, graph
from tools.dashboards.places import AGENT, TO_CONNECTOR

_NAMESPACE = 'namespace="$namespace"'
_IT = f'{_NAMESPACE},agent="$agent"'
_CALLS = "ringfence_sidecar_calls_total"
_ANY_SIDECAR = "ringfence_sidecar_audit_queued"


def _its(metric: str) -> str:
    return f"{metric}{{{_IT}}}"


_NOW = (
    figure("Calls", "Calls in a second.", Unit.REQUESTS_PER_SECOND, total(rate(_CALLS, _IT))),
    figure(
        "Not ok",
        "Calls in a second that ended otherwise than ok.",
        Unit.REQUESTS_PER_SECOND,
        total(rate(_CALLS, f'{_IT},status!="ok"')),
        steps=((0.1, Colour.LOOK), (1, Colour.ACT)),
    ),
    figure(
        "Slowest calls",
        "99th percentile.",
        Unit.SECONDS,
        quantile(0.99, "ringfence_sidecar_call_seconds", _IT),
        steps=((5, Colour.LOOK), (30, Colour.ACT)),
    ),
    figure(
        "Endpoints away",
        "Endpoints whose last health check was not served.",
        Unit.COUNT,
        f"count({_its('ringfence_endpoint_healthy')}) - {total(_its('ringfence_endpoint_healthy'))}",
        steps=((1, Colour.ACT),),
    ),
    figure(
        "Audit queue",
        "Audit lines that wait to be written.",
        Unit.COUNT,
        total(_its(_ANY_SIDECAR)),
        steps=((1000, Colour.LOOK),),
    ),
    figure(
        "Redis answers",
        "Whether the sidecar reaches the Redis that all share.",
        Unit.YES_OR_NO,
        largest(_its("ringfence_sidecar_cache_reachable")),
        base=Colour.ACT,
        steps=((1, Colour.FINE),),
    ),
)

_ITS_CALLS = (
    graph(
        "Calls by status",
        "How they ended.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_CALLS, _IT), "status"), "{{status}}"),
        is_stacked=True,
    ),
    graph(
        "Calls by operation",
        "What it asks of which connector.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_CALLS, _IT), "namespace", "connector", "operation"), "{{connector}} {{operation}}"),
        link=TO_CONNECTOR,
    ),
    graph(
        "How long calls take",
        "From the request to the answer, all that they wait for included.",
        Unit.SECONDS,
        *quantiles("ringfence_sidecar_call_seconds", _IT),
    ),
    graph(
        "The sidecar's own part of it",
        "What calls take besides waiting for backends.",
        Unit.SECONDS,
        *quantiles("ringfence_sidecar_own_seconds", _IT),
        steps=((0.05, Colour.LOOK),),
    ),
    graph(
        "Where answers come from",
        "Of those that may be kept: the sidecar itself, the shared Redis, or (none) the backend.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate("ringfence_sidecar_cache_total", _IT), "layer"), "{{layer}}"),
        is_stacked=True,
    ),
    graph(
        "Audit",
        "Calls refused because audit lines could not be written: rather no call than one without a line.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate("ringfence_sidecar_audit_refused_total", _IT)), "refused"),
        steps=((0.01, Colour.ACT),),
    ),
)

_ITS_QUOTAS = (
    graph(
        "Refused by quotas",
        "Calls that a limit refused.",
        Unit.REQUESTS_PER_SECOND,
        (
            total(rate("ringfence_sidecar_quota_refused_total", _IT), "quota", "resource", "enforcement"),
            "{{quota}} {{resource}} {{enforcement}}",
        ),
        steps=((0.1, Colour.LOOK),),
    ),
    graph(
        "Warned by quotas",
        "Calls that were served with a warning.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate("ringfence_sidecar_quota_warned_total", _IT), "quota", "resource"), "{{quota}} {{resource}}"),
    ),
    graph(
        "Waiting for quotas",
        "For the counters, and in the queues of Soft limits.",
        Unit.SECONDS,
        *quantiles("ringfence_sidecar_quota_waited_seconds", _IT),
        steps=((1, Colour.LOOK),),
    ),
)

_ITS_ENDPOINTS = (
    graph(
        "Endpoints",
        "1 if the last health check was served.",
        Unit.COUNT,
        (
            largest(_its("ringfence_endpoint_healthy"), "namespace", "connector", "endpoint"),
            "{{connector}} {{endpoint}}",
        ),
        most=1,
        link=TO_CONNECTOR,
    ),
    graph(
        "Sessions",
        "In use, and idle.",
        Unit.COUNT,
        (
            total(_its("ringfence_endpoint_sessions"), "connector", "endpoint", "state"),
            "{{connector}} {{endpoint}} {{state}}",
        ),
    ),
    graph(
        "Kinds' own figures",
        "Such as leases of messages, channels, and results that are still open.",
        Unit.COUNT,
        (total(_its("ringfence_connector_gauge"), "connector", "name"), "{{connector}} {{name}}"),
    ),
)

DASHBOARD = Dashboard(
    uid=AGENT,
    title="Ringfence / Agent",
    about="One agent with connectors: its calls, quotas and endpoints, as its sidecar tells.",
    variables=(
        Variable(name="namespace", label="namespace", metric=_ANY_SIDECAR, is_multiple=False),
        Variable(name="agent", label="agent", metric=f"{_ANY_SIDECAR}{{{_NAMESPACE}}}", is_multiple=False),
    ),
    rows=(
        Row("Now", _NOW),
        Row("Calls", _ITS_CALLS),
        Row("Quotas", _ITS_QUOTAS),
        Row("Endpoints", _ITS_ENDPOINTS),
    ),
)
