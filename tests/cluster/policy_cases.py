"""The table of NetworkPolicies: what each lets through, and what it does not.

Pods: `server`, `client` and `other` in the namespace blue; `stranger` (app=client) and `foreign`
(app=server) in green. The port named `web` is 8080 at `server` and 9002 at `foreign`. A probe is
`who whom:port`; over TCP and both IP families unless it says otherwise.
"""

from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]

SERVER: Spec = {"matchLabels": {"app": "server"}}
CLIENT: Spec = {"matchLabels": {"app": "client"}}
GREEN: Spec = {"matchLabels": {"team": "green"}}
EVERYONE: Spec = {}
TCP_WEB = [{"port": 8080}]


@dataclass(frozen=True)
class Case:
    """Policies of the namespace blue. `refused` stays shut, `untouched` is open with and without the rules."""

    name: str
    policies: list[Spec]
    allowed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)

    def closed(self) -> list[Spec]:
        """Return the same policies without their rules: they isolate the same pods, and allow nothing."""
        return [
            {key: value for key, value in spec.items() if key not in ("ingress", "egress")} for spec in self.policies
        ]


def into(selector: Spec, *rules: Spec) -> Spec:
    """Return a policy that isolates `selector` for ingress and allows `rules`."""
    return {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": list(rules)}


def out_of(selector: Spec, *rules: Spec) -> Spec:
    """Return a policy that isolates `selector` for egress and allows `rules`."""
    return {"podSelector": selector, "policyTypes": ["Egress"], "egress": list(rules)}


def expression(key: str, operator: str, *values: str) -> Spec:
    """Return a selector of one expression."""
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


SELECTORS = [
    Case(
        "an empty pod selector closes the whole namespace to others and leaves what it sends alone",
        [into(EVERYONE)],
        refused=["client server:web", "stranger other:web", "stranger server:web/udp"],
        untouched=["client foreign:web", "stranger foreign:web", "server server:web"],
    ),
    Case(
        "an empty pod selector shuts the whole namespace in and leaves what it receives alone",
        [out_of(EVERYONE)],
        refused=["client server:web", "server foreign:web", "other foreign:web/udp"],
        untouched=["stranger server:web", "stranger foreign:web", "server server:web"],
    ),
    Case(
        "a policy of both directions without rules shuts everything but the pod itself",
        [{"podSelector": SERVER, "policyTypes": ["Ingress", "Egress"]}],
        refused=["client server:web", "server client:web", "server foreign:web"],
        untouched=["server server:web", "server server:web/udp", "client other:web"],
    ),
    Case(
        "an empty rule allows everything",
        [into(SERVER, {})],
        allowed=["client server:web", "stranger server:admin", "stranger server:web/udp"],
    ),
    Case(
        "a pod selector means pods of the policy's own namespace",
        [into(SERVER, {"from": [{"podSelector": CLIENT}]})],
        allowed=["client server:web", "client server:admin", "client server:web/udp"],
        refused=["other server:web", "stranger server:web"],
        untouched=["other client:web"],
    ),
    Case(
        "In and Exists",
        [into(SERVER, {"from": [{"podSelector": expression("app", "In", "client", "nobody")}]})],
        allowed=["client server:web"],
        refused=["other server:web"],
    ),
    Case(
        "NotIn and DoesNotExist",
        [
            into(
                expression("app", "NotIn", "client", "other"),
                {"from": [{"podSelector": expression("tier", "DoesNotExist")}]},
            )
        ],
        allowed=["other server:web"],
        refused=["client server:web"],
        untouched=["server client:web"],
    ),
    Case(
        "a namespace selector means all pods of the namespaces",
        [into(SERVER, {"from": [{"namespaceSelector": GREEN}]})],
        allowed=["stranger server:web", "foreign server:web"],
        refused=["client server:web"],
    ),
    Case(
        "an empty namespace selector means every namespace",
        [into(SERVER, {"from": [{"namespaceSelector": EVERYONE, "podSelector": CLIENT}]})],
        allowed=["stranger server:web", "client server:web"],
        refused=["other server:web", "foreign server:web"],
    ),
    Case(
        "namespace and pod selector in one peer must both match",
        [into(SERVER, {"from": [{"namespaceSelector": GREEN, "podSelector": CLIENT}]})],
        allowed=["stranger server:web"],
        refused=["client server:web", "foreign server:web"],
    ),
    Case(
        "in two peers, one of them is enough",
        [into(SERVER, {"from": [{"namespaceSelector": GREEN}, {"podSelector": CLIENT}]})],
        allowed=["stranger server:web", "foreign server:web", "client server:web"],
        refused=["other server:web"],
    ),
    Case(
        "egress to pods of another namespace",
        [out_of(CLIENT, {"to": [{"namespaceSelector": GREEN, "podSelector": SERVER}]})],
        allowed=["client foreign:web", "client foreign:low/udp"],
        refused=["client server:web", "client stranger:web"],
        untouched=["other server:web"],
    ),
    Case(
        "policies add up",
        [
            into(SERVER, {"from": [{"podSelector": CLIENT}], "ports": TCP_WEB}),
            into(EVERYONE, {"from": [{"podSelector": {"matchLabels": {"app": "other"}}}], "ports": [{"port": 8081}]}),
        ],
        allowed=["client server:web", "other server:admin", "other client:admin"],
        refused=["client server:admin", "other server:web", "client other:admin"],
    ),
    Case(
        "what one end allows is refused when the other end does not",
        [
            out_of(CLIENT, {"to": [{"podSelector": {}}]}),
            into(SERVER, {"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}),
        ],
        allowed=["client other:web", "other server:web"],
        refused=["client server:web", "client foreign:web"],
    ),
]

PORT_CASES = [
    Case(
        "a port alone is TCP",
        [into(SERVER, {"ports": TCP_WEB})],
        allowed=["client server:web", "stranger server:web"],
        refused=["client server:admin", "client server:web/udp"],
    ),
    Case(
        "a UDP port",
        [into(SERVER, {"ports": [{"protocol": "UDP", "port": 8080}]})],
        allowed=["client server:web/udp"],
        refused=["client server:web", "client server:admin/udp"],
    ),
    Case(
        "a protocol without a port",
        [into(SERVER, {"ports": [{"protocol": "UDP"}]})],
        allowed=["client server:web/udp", "client server:low/udp"],
        refused=["client server:web"],
    ),
    Case(
        "an SCTP port, and neither TCP nor UDP with it",
        [into(SERVER, {"ports": [{"protocol": "SCTP", "port": 8080}]})],
        allowed=["client server:web/sctp"],
        refused=["client server:admin/sctp", "client server:web", "client server:web/udp"],
    ),
    Case(
        "a range of ports includes both ends",
        [into(SERVER, {"ports": [{"port": 8081, "endPort": 9000}]})],
        allowed=["client server:admin", "client server:low"],
        refused=["client server:web", "client server:high"],
    ),
    Case(
        "a named port is the server's own number",
        [into(SERVER, {"ports": [{"port": "web"}]})],
        allowed=["client server:8080"],
        refused=["client server:high", "client server:8080/udp"],
    ),
    Case(
        "a named port of egress is each server's own number",
        [out_of(CLIENT, {"to": [{"namespaceSelector": {}}], "ports": [{"port": "web"}]})],
        allowed=["client server:8080", "client foreign:9002"],
        refused=["client server:9002", "client foreign:8080"],
    ),
    Case(
        "every port of a rule goes with every peer of the same rule only",
        [
            into(
                SERVER,
                {
                    "from": [{"podSelector": CLIENT}, {"namespaceSelector": GREEN}],
                    "ports": [{"port": 8080}, {"port": 8081}],
                },
                {"from": [{"podSelector": {"matchLabels": {"app": "other"}}}], "ports": [{"port": 9000}]},
            )
        ],
        allowed=["client server:web", "client server:admin", "stranger server:admin", "other server:low"],
        refused=["client server:low", "other server:web", "stranger server:low"],
    ),
]


def block_cases(client: list[str], networks: list[str]) -> list[Case]:
    """Return the cases of ipBlocks, which need the client's addresses and the pod networks (IPv4 first)."""
    but_client = [
        {"ipBlock": {"cidr": network, "except": [f"{ip}/{128 if ':' in ip else 32}"]}}
        for network, ip in zip(networks, client, strict=True)
    ]
    return [
        Case(
            "a block with an exception, into a pod",
            [into(SERVER, {"from": but_client})],
            allowed=["other server:web", "stranger server:web/udp"],
            refused=["client server:web", "client server:web/udp"],
        ),
        Case(
            "a block of one IP family leaves the other shut",
            [into(SERVER, {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})],
            allowed=["client server:web/tcp4", "stranger server:web/udp4"],
            refused=["client server:web/tcp6", "stranger server:web/udp6"],
        ),
        Case(
            "a block of IPv6",
            [into(SERVER, {"from": [{"ipBlock": {"cidr": f"{client[1]}/128"}}]})],
            allowed=["client server:web/tcp6"],
            refused=["client server:web/tcp4", "other server:web"],
        ),
        Case(
            "an exception of one peer is open when another peer has it",
            [into(SERVER, {"from": [*but_client, {"podSelector": CLIENT}]})],
            allowed=["client server:web", "other server:web"],
        ),
    ]


OUTSIDE_CASES = [
    Case(
        "a block with an exception, to the outside",
        [
            out_of(
                CLIENT,
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["198.51.100.0/24"]}}], "ports": [{"port": 443}]},
            )
        ],
        allowed=["client internet:443/tcp4"],
        refused=["client internet:80/tcp4", "client cdn:443", "client internet:443/tcp6", "client server:web"],
        untouched=["other internet:443", "other cdn:443"],
    ),
    Case(
        "a block of IPv6, to the outside",
        [out_of(CLIENT, {"to": [{"ipBlock": {"cidr": "2001:db8::/32"}}]})],
        allowed=["client internet:443/tcp6"],
        refused=["client internet:443/tcp4", "client cdn:443"],
    ),
]


def node_case(node: list[str]) -> Case:
    """Return the case of a pod's own node: shut like any other destination, and opened by a block."""
    blocks = [{"ipBlock": {"cidr": f"{ip}/{128 if ':' in ip else 32}"}} for ip in node]
    return Case(
        "the node and the API server are shut like any other destination",
        [out_of(CLIENT, {"to": blocks, "ports": [{"port": 6443}]})],
        allowed=["client node:6443/tcp4", "client kubernetes:443"],
        refused=["client node:10250"],
        untouched=["other node:6443/tcp4", "other node:10250/tcp4", "other kubernetes:443"],
    )
