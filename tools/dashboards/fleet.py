"""The first dashboard to open: is all well, and if not, where to look."""

from tools.dashboards.expressions import (
    LEADS,
    agents,
    increase,
    largest,
    leaders,
    rate,
    ratio,
    smallest,
    top,
    total,
)
from tools.dashboards.panel import Colour, Dashboard, Row, Unit, Variable, bars, figure, graph
from tools.dashboards.places import FLEET, TO_CONNECTORS, TO_EGRESS, TO_OPERATOR, TO_POLICY, TO_POOL, TO_QUOTA

_HERE = 'namespace=~"$namespace"'
_CALLS = "ringfence_sidecar_calls_total"
_LOST = f'{_HERE},status=~"unavailable|timeout|internal"'
_REQUESTS = "ringfence_gateway_requests_total"

_NOW = (
    figure("Agents", "All of them, whatever they are at.", Unit.COUNT, agents(_HERE)),
    figure("Running", "Agents whose pod runs.", Unit.COUNT, agents(f'{_HERE},state="Running"')),
    figure(
        "Failed",
        "Agents that have ended badly and are still there: kubectl get rfagent -A says why.",
        Unit.COUNT,
        agents(f'{_HERE},state="Failed"'),
        steps=((1, Colour.LOOK),),
    ),
    figure(
        "Leaders",
        "Replicas of the operator that write. It is to be 1.",
        Unit.COUNT,
        total(LEADS),
        base=Colour.ACT,
        steps=((1, Colour.FINE), (2, Colour.ACT)),
        link=TO_OPERATOR,
    ),
    figure(
        "Network enforced",
        "Whether a pod that may reach nothing was found to reach nothing. No figure: nobody has looked yet.",
        Unit.YES_OR_NO,
        smallest("ringfence_network_enforced"),
        base=Colour.ACT,
        steps=((1, Colour.FINE),),
    ),
    figure(
        "Gateway pods",
        "Pods of the egress gateway that have their configuration from the operator.",
        Unit.COUNT,
        total("ringfence_control_gateways"),
        base=Colour.ACT,
        steps=((1, Colour.LOOK), (2, Colour.FINE)),
        link=TO_EGRESS,
    ),
)

_AGENTS = (
    graph(
        "Agents by state",
        "Pending and Starting are to be short; Failed ones stay until they are deleted.",
        Unit.COUNT,
        (agents(_HERE, "state"), "{{state}}"),
        is_stacked=True,
    ),
    graph(
        "Namespaces with the most agents",
        "Whatever state they are in.",
        Unit.COUNT,
        (top(agents(_HERE, "namespace")), "{{namespace}}"),
    ),
    graph(
        "Agents that found no warm pod",
        "Those from a pool; the pools that lack the most.",
        Unit.PER_SECOND,
        (top(largest(rate("ringfence_pool_misses_total", _HERE), "namespace", "pool")), "{{namespace}}/{{pool}}"),
        link=TO_POOL,
    ),
)

_WORK = (
    graph(
        "Calls to sidecars",
        "What agents ask of their connectors, by namespace.",
        Unit.REQUESTS_PER_SECOND,
        (top(total(rate(_CALLS, _HERE), "namespace")), "{{namespace}}"),
        link=TO_CONNECTORS,
    ),
    graph(
        "Calls that were not served",
        "The share for which a backend was away, or too late, or something broke.",
        Unit.SHARE,
        (
            top(ratio(total(rate(_CALLS, _LOST), "namespace"), total(rate(_CALLS, _HERE), "namespace"))),
            "{{namespace}}",
        ),
        steps=((0.1, Colour.ACT),),
        link=TO_CONNECTORS,
    ),
    graph(
        "Sidecars connected",
        "Sidecars that wait for news of their configuration at the operator.",
        Unit.COUNT,
        (total("ringfence_control_sidecar_connections"), "connections"),
        link=TO_OPERATOR,
    ),
    bars(
        "Quotas nearest their end",
        "Used of the most that is allowed.",
        Unit.SHARE,
        (
            top(largest(leaders("ringfence_quota_used_ratio", _HERE), "namespace", "quota", "resource", "window")),
            "{{namespace}}/{{quota}} {{resource}}",
        ),
        steps=((0.8, Colour.LOOK), (1, Colour.ACT)),
        most=1,
        link=TO_QUOTA,
    ),
    graph(
        "Requests to the outside",
        "By what became of them; audited ones would be refused if their policy were enforced.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_REQUESTS), "verdict"), "{{verdict}}"),
        is_stacked=True,
        link=TO_EGRESS,
    ),
    bars(
        "Policies that refuse the most",
        "Requests refused in the time shown.",
        Unit.COUNT,
        (top(total(increase(_REQUESTS, 'verdict="denied"'), "policy")), "{{policy}}"),
        link=TO_POLICY,
    ),
)

DASHBOARD = Dashboard(
    uid=FLEET,
    title="Ringfence / Fleet",
    about="Agents, what they do, and whether what confines them is in order.",
    variables=(Variable(name="namespace", label="namespace", metric="ringfence_agents"),),
    rows=(Row("Now", _NOW), Row("Agents", _AGENTS), Row("Work", _WORK)),
)
