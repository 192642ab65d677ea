"""Egress: who reaches the outside, and what is refused."""

from tools.dashboards.expressions import increase, rate, ratio, top, total
from tools.dashboards.panel import Colour, Dashboard, Row, Unit, Variable, bars, figure, graph
from tools.dashboards.places import EGRESS, TO_OPERATOR

_HERE = 'policy=~"$policy"'
_GATEWAY = 'pod=~"ringfence-gateway-.+"'
_REQUESTS = "ringfence_gateway_requests_total"
_DNS = "ringfence_gateway_dns_queries_total"
_DROPPED = "ringfence_gateway_dns_dropped_total"
_LIMITED = "ringfence_gateway_connections_limited_total"
_REFUSED = "ringfence_gateway_resolver_refused_total"


def _verdict(verdict: str) -> str:
    return f'{_HERE},verdict="{verdict}"'


_NOW = (
    figure(
        "Let through", "Requests in a second.", Unit.REQUESTS_PER_SECOND, total(rate(_REQUESTS, _verdict("allowed")))
    ),
    figure(
        "Refused",
        "Requests in a second for names that are not on the policy's list.",
        Unit.REQUESTS_PER_SECOND,
        total(rate(_REQUESTS, _verdict("denied"))),
        steps=((1, Colour.LOOK),),
    ),
    figure(
        "Audited",
        "Requests in a second that would be refused if their policy were enforced.",
        Unit.REQUESTS_PER_SECOND,
        total(rate(_REQUESTS, _verdict("audited"))),
    ),
    figure(
        "DNS dropped",
        "Queries in a second beyond a policy's allowance.",
        Unit.REQUESTS_PER_SECOND,
        total(rate(_DROPPED, _HERE)),
        steps=((1, Colour.LOOK),),
    ),
    figure(
        "Names that lead inside",
        "In the time shown: names on a list that have private addresses only. Nobody is led there.",
        Unit.COUNT,
        total(increase(_REFUSED)),
        steps=((1, Colour.LOOK),),
    ),
    figure(
        "Gateway pods",
        "Pods that have their configuration from the operator.",
        Unit.COUNT,
        total("ringfence_control_gateways"),
        base=Colour.ACT,
        steps=((1, Colour.LOOK), (2, Colour.FINE)),
        link=TO_OPERATOR,
    ),
)

_ALL_REQUESTS = (
    graph(
        "Requests by verdict",
        "What became of them.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_REQUESTS, _HERE), "verdict"), "{{verdict}}"),
        is_stacked=True,
    ),
    graph(
        "Requests by way",
        "How they came: through a proxy, by TLS, by HTTP, or as a question to DNS.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_REQUESTS, _HERE), "via"), "{{via}}"),
        is_stacked=True,
    ),
    graph(
        "Policies with the most requests",
        "Whatever became of them.",
        Unit.REQUESTS_PER_SECOND,
        (top(total(rate(_REQUESTS, _HERE), "policy")), "{{policy}}"),
    ),
)

_DENIALS = (
    graph(
        "Policies that refuse the most",
        "kubectl describe securitypolicy names what was refused.",
        Unit.REQUESTS_PER_SECOND,
        (top(total(rate(_REQUESTS, _verdict("denied")), "policy")), "{{policy}}"),
        steps=((1, Colour.LOOK),),
    ),
    graph(
        "Share refused",
        "Of all requests of the policy.",
        Unit.SHARE,
        (
            top(
                ratio(
                    total(rate(_REQUESTS, _verdict("denied")), "policy"),
                    total(rate(_REQUESTS, _HERE), "policy"),
                )
            ),
            "{{policy}}",
        ),
        most=1,
    ),
    bars(
        "Policies in Audit",
        "Requests in the time shown that Enforce would refuse.",
        Unit.COUNT,
        (top(total(increase(_REQUESTS, _verdict("audited")), "policy")), "{{policy}}"),
    ),
    graph(
        "DNS answers",
        "NXDOMAIN is how a name that is not on the list is refused.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_DNS, _HERE), "rcode"), "{{rcode}}"),
    ),
    graph(
        "DNS queries dropped",
        "Beyond a policy's allowance: an agent asks too fast.",
        Unit.REQUESTS_PER_SECOND,
        (top(total(rate(_DROPPED, _HERE), "policy")), "{{policy}}"),
        steps=((1, Colour.LOOK),),
    ),
    graph(
        "Connections closed",
        "Because a policy opened too many new ones, or had too many open.",
        Unit.PER_SECOND,
        (top(total(rate(_LIMITED, _HERE), "policy", "limit")), "{{policy}} {{limit}}"),
        steps=((0.1, Colour.LOOK),),
    ),
)

_PODS = (
    graph(
        "Configuration sent",
        "From the operator to gateways. A change costs what it changes, however many policies there are.",
        Unit.BYTES_PER_SECOND,
        (total(rate("ringfence_control_sent_bytes_total")), "sent"),
    ),
    graph(
        "CPU of the names process",
        "It answers DNS and counts; Envoy tells of itself on its own admin socket.",
        Unit.CORES,
        (top(total(rate("process_cpu_seconds_total", _GATEWAY), "pod")), "{{pod}}"),
    ),
    graph(
        "Memory of the names process",
        "Resident.",
        Unit.BYTES,
        (top(total(f"process_resident_memory_bytes{{{_GATEWAY}}}", "pod")), "{{pod}}"),
        steps=((400e6, Colour.LOOK),),
    ),
)

DASHBOARD = Dashboard(
    uid=EGRESS,
    title="Ringfence / Egress and denials",
    about="Requests to the outside by policy, what was refused and why, and the gateway's health.",
    variables=(Variable(name="policy", label="policy", metric="ringfence_gateway_requests_total"),),
    rows=(Row("Now", _NOW), Row("Requests", _ALL_REQUESTS), Row("Denials", _DENIALS), Row("The gateway", _PODS)),
)
