"""Quotas, and what agents' work costs: how much is left, who is refused, whose time backends spend."""

from tools.dashboards.expressions import increase, largest, leaders, quantiles, rate, top, total
from tools.dashboards.panel import Colour, Dashboard, Row, Unit, Variable, bars, figure, graph
from tools.dashboards.places import QUOTAS, TO_CONNECTOR, TO_CONNECTORS

_NAMESPACE = 'namespace=~"$namespace"'
_HERE = f'{_NAMESPACE},quota=~"$quota"'
_LIMIT = ("namespace", "quota", "resource", "window", "scope")
_NAME = "{{namespace}}/{{quota}} {{resource}} {{window}} {{scope}}"
_USED = leaders("ringfence_quota_used_ratio", _HERE)
_NEAR = ((0.8, Colour.LOOK), (1.0, Colour.ACT))
_PAID = 'resource=~"podSeconds|querySeconds|bytesScanned|credits|networkBytes"'
_SECONDS = "ringfence_endpoint_seconds_total"
_ENDED = "ringfence_sidecar_quota"

_NOW = (
    figure(
        "Most used", "Used of what is allowed, of the limit nearest its end.", Unit.SHARE, largest(_USED), steps=_NEAR
    ),
    figure("Limits", "How many limits are told of.", Unit.COUNT, f"count({_USED})"),
    figure(
        "Used up",
        "Limits that have nothing left.",
        Unit.COUNT,
        total(f"{_USED} >= bool 1"),
        steps=((1, Colour.ACT),),
    ),
    figure(
        "Refused",
        "What limits refused in the time shown.",
        Unit.COUNT,
        total(increase("ringfence_quota_refusals_total", _HERE)),
        steps=((1, Colour.LOOK),),
    ),
    figure(
        "Warned",
        "Times that use came to a warnAt in the time shown.",
        Unit.COUNT,
        total(increase("ringfence_quota_warnings_total", _HERE)),
        steps=((1, Colour.LOOK),),
    ),
    figure(
        "Backends' time",
        "What backends took to serve, in the time shown.",
        Unit.SECONDS,
        total(increase(_SECONDS, _NAMESPACE)),
    ),
)

_LEFT = (
    bars(
        "Nearest their end",
        "Used of max; of a limit for each agent, of the agent with the most.",
        Unit.SHARE,
        (top(largest(_USED, *_LIMIT)), _NAME),
        steps=_NEAR,
        width=12,
        most=1,
    ),
    graph(
        "Use in time",
        "The same limits; a window that begins anew falls to nothing.",
        Unit.SHARE,
        (top(largest(_USED, *_LIMIT)), _NAME),
        steps=_NEAR,
        width=12,
    ),
)

_REFUSED = (
    graph(
        "Refusals",
        "As the operator counts them for the Quota's status.",
        Unit.PER_SECOND,
        (top(total(rate("ringfence_quota_refusals_total", _HERE), *_LIMIT)), _NAME),
        width=12,
    ),
    graph(
        "Warnings",
        "Times that use came to a warnAt.",
        Unit.PER_SECOND,
        (top(total(rate("ringfence_quota_warnings_total", _HERE), *_LIMIT)), _NAME),
        width=12,
    ),
    graph(
        "Calls refused",
        "By sidecars, at once.",
        Unit.REQUESTS_PER_SECOND,
        (
            top(total(rate(f"{_ENDED}_refused_total", _HERE), "namespace", "quota", "resource", "enforcement")),
            "{{namespace}}/{{quota}} {{resource}} {{enforcement}}",
        ),
    ),
    graph(
        "Calls served with a warning",
        "By sidecars, at once.",
        Unit.REQUESTS_PER_SECOND,
        (
            top(total(rate(f"{_ENDED}_warned_total", _HERE), "namespace", "quota", "resource")),
            "{{namespace}}/{{quota}} {{resource}}",
        ),
    ),
    graph(
        "Waiting for quotas",
        "How long calls waited: for the counters, and in the queues of Soft limits.",
        Unit.SECONDS,
        *quantiles(f"{_ENDED}_waited_seconds", _NAMESPACE),
        steps=((1, Colour.LOOK),),
    ),
)

_COST = (
    graph(
        "Limits on what is paid for",
        "Time of pods and of queries, bytes scanned, credits, bytes to the outside: used of max.",
        Unit.SHARE,
        (
            top(largest(leaders("ringfence_quota_used_ratio", f"{_HERE},{_PAID}"), *_LIMIT)),
            _NAME,
        ),
        steps=_NEAR,
    ),
    bars(
        "Connectors whose backends work most",
        "What backends took to serve, in the time shown.",
        Unit.SECONDS,
        (top(total(increase(_SECONDS, _NAMESPACE), "namespace", "connector")), "{{namespace}}/{{connector}}"),
        link=TO_CONNECTOR,
    ),
    bars(
        "Namespaces whose backends work most",
        "What backends took to serve, in the time shown.",
        Unit.SECONDS,
        (top(total(increase(_SECONDS, _NAMESPACE), "namespace")), "{{namespace}}"),
        link=TO_CONNECTORS,
    ),
)

DASHBOARD = Dashboard(
    uid=QUOTAS,
    title="Ringfence / Quotas and cost",
    about="How much of its quotas each namespace has used, what was refused, and what backends had to do.",
    variables=(
        Variable(name="namespace", label="namespace", metric="ringfence_quota_used_ratio"),
        Variable(name="quota", label="quota", metric=f"ringfence_quota_used_ratio{{{_NAMESPACE}}}"),
    ),
    rows=(Row("Now", _NOW), Row("What is left", _LEFT), Row("Refusals", _REFUSED), Row("Cost", _COST)),
)
