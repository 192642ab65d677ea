from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.resources.network_policy import (
    Around,
    build_default_deny,
    build_network_policy,
    policy_name,
)
from ringfence_operator.resources.selector import selects
from tests.operator.resources.objects import make_policy
from tests.operator.resources.test_reserved import addresses, small_networks

SYSTEM = "ringfence-system"
NAME = "kubernetes.io/metadata.name"
NOT_SYSTEM = {"key": NAME, "operator": "NotIn", "values": [SYSTEM]}


def build(*, namespace: str = "team", is_cluster: bool = False, reserved: Any = (), **network: Any) -> dict[str, Any]:
    return build_network_policy(
        make_policy(network=network),
        namespace=namespace,
        is_cluster=is_cluster,
        around=Around(closed_namespace=SYSTEM, reserved=reserved),
    )


def test_the_default_deny_closes_confined_pods_in_both_directions() -> None:
    assert build_default_deny("team") == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "ringfence-default-deny",
            "namespace": "team",
            "labels": {"app.kubernetes.io/managed-by": "ringfence"},
        },
        "spec": {
            "podSelector": {"matchLabels": {"ringfence.dev/confined": "true"}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }


@pytest.mark.parametrize("network", [{}, {"enabled": False}, {"enabled": True, "destinations": []}])
def test_a_policy_that_names_nothing_opens_nothing(network: dict[str, Any]) -> None:
    assert build(**network)["spec"] == {
        "podSelector": {"matchLabels": {"ringfence.dev/confined": "true", "ringfence.dev/policy": "p"}},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_a_closed_network_opens_nothing_even_if_something_is_named() -> None:
    spec = build(enabled=False, destinations=[{"podSelector": {}}], cidrs=[{"cidr": "198.51.100.0/24"}])["spec"]

    assert "egress" not in spec
    assert "ingress" not in spec


def test_the_clusters_policy_has_a_name_and_a_label_of_its_own() -> None:
    built = build(is_cluster=True)

    assert built["metadata"]["name"] == "ringfence-cluster-p"
    assert built["spec"]["podSelector"]["matchLabels"] == {
        "ringfence.dev/confined": "true",
        "ringfence.dev/cluster-policy": "p",
    }


def test_no_two_policies_share_a_name() -> None:
    names = [policy_name(name, is_cluster=flag) for name in ("p", "policy-p", "cluster-p") for flag in (True, False)]

    assert len({*names, "ringfence-default-deny"}) == 7


def test_everything_that_a_policy_names_is_opened() -> None:
    spec = build(
        destinations=[
            {"podSelector": {"matchLabels": {"app": "db"}}, "ports": [{"port": 5432}]},
            {
                "podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 8000, "endPort": 8100}],
            },
        ],
        cidrs=[{"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"], "ports": [{"port": 443}]}],
        ingress=[
            {"from": [{"podSelector": {}}, {"cidr": "2001:db8::/32"}], "ports": [{"port": 8080}]},
            {"from": [{"cidr": "203.0.113.0/24"}]},
        ],
    )["spec"]

    assert spec["egress"] == [
        {
            "to": [{"podSelector": {"matchLabels": {"app": "db"}}}],
            "ports": [{"port": 5432, "protocol": "TCP"}],
        },
        {
            "to": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}],
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 8000, "endPort": 8100, "protocol": "TCP"}],
        },
        {
            "to": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}}],
            "ports": [{"port": 443, "protocol": "TCP"}],
        },
    ]
    assert spec["ingress"] == [
        {
            "from": [{"podSelector": {}}, {"ipBlock": {"cidr": "2001:db8::/32"}}],
            "ports": [{"port": 8080, "protocol": "TCP"}],
        },
        {"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]},
    ]


NAMESPACE_SELECTORS: list[dict[str, Any]] = [
    {},
    {"matchLabels": {"team": "x"}},
    {"matchLabels": {NAME: SYSTEM}},
    {"matchExpressions": [{"key": NAME, "operator": "In", "values": [SYSTEM, "other"]}]},
    {"matchExpressions": [{"key": NAME, "operator": "Exists"}]},
    {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]},
    {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["y"]}]},
]


@pytest.mark.parametrize("direction", ["egress", "ingress"])
@pytest.mark.parametrize("pods", [None, {}, {"matchLabels": {"app": "db"}}])
@pytest.mark.parametrize("selector", NAMESPACE_SELECTORS)
def test_no_namespace_selector_covers_the_operators_namespace(
    selector: dict[str, Any], pods: dict[str, Any] | None, direction: str
) -> None:
    peer = {"namespaceSelector": selector} | ({"podSelector": pods} if pods is not None else {})
    network: dict[str, Any] = {"destinations": [peer]} if direction == "egress" else {"ingress": [{"from": [peer]}]}

    built = build(**network)["spec"][direction][0]["to" if direction == "egress" else "from"][0]

    assert built.get("podSelector") == pods
    for labels in ({NAME: SYSTEM}, {NAME: SYSTEM, "team": "x"}):
        assert not selects(built["namespaceSelector"], labels)
    for labels in ({NAME: "other"}, {NAME: "other", "team": "x"}, {NAME: "third", "team": "y"}):
        assert selects(built["namespaceSelector"], labels) is selects(selector, labels)


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_pods_of_the_same_namespace_are_not_opened_where_that_is_the_operators(direction: str) -> None:
    peer: dict[str, Any] = {"podSelector": {}}
    network: dict[str, Any] = {"destinations": [peer]} if direction == "egress" else {"ingress": [{"from": [peer]}]}

    built = build(namespace=SYSTEM, **network)["spec"][direction][0]["to" if direction == "egress" else "from"][0]

    assert not selects(built["namespaceSelector"], {NAME: SYSTEM})
    assert not selects(built["namespaceSelector"], {NAME: "other"})


def test_pods_of_the_same_namespace_are_named_without_a_namespace_selector() -> None:
    assert build(destinations=[{"podSelector": {}}])["spec"]["egress"] == [{"to": [{"podSelector": {}}]}]


@pytest.mark.parametrize(
    ("cidr", "excepted", "reserved", "expected"),
    [
        ("10.0.0.0/8", [], ["10.96.0.0/16"], {"cidr": "10.0.0.0/8", "except": ["10.96.0.0/16"]}),
        (
            "10.0.0.0/8",
            ["10.1.0.0/16"],
            ["10.96.0.0/16", "fd00::/8"],
            {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.96.0.0/16"]},
        ),
        ("198.51.100.0/24", [], ["10.0.0.0/8"], {"cidr": "198.51.100.0/24"}),
        ("fd00::/8", [], ["fd52::/16", "10.0.0.0/8"], {"cidr": "fd00::/8", "except": ["fd52::/16"]}),
        ("10.96.0.0/16", [], ["10.96.0.0/16"], None),
        ("10.96.0.0/24", [], ["10.96.0.0/16"], None),
        ("10.0.0.0/24", ["10.0.0.0/25", "10.0.0.128/25"], [], None),
        ("10.0.0.0/24", ["10.0.0.0/25"], ["10.0.0.128/25"], None),
        ("10.0.0.0/24", ["10.0.0.0/24"], [], None),
        ("10.0.0.7/32", [], ["10.0.0.7/32"], None),
    ],
)
@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_reserved_addresses_are_left_out_of_a_block_and_a_block_without_others_is_left_out_itself(
    cidr: str, excepted: list[str], reserved: list[str], expected: dict[str, Any] | None, direction: str
) -> None:
    block = {"cidr": cidr, "except": excepted}
    network: dict[str, Any] = {"cidrs": [block]} if direction == "egress" else {"ingress": [{"from": [block]}]}

    spec = build(reserved=reserved, **network)["spec"]

    peers = "to" if direction == "egress" else "from"
    assert spec.get(direction) == ([{peers: [{"ipBlock": expected}]}] if expected else None)


def test_an_ingress_rule_without_sources_left_does_not_open_to_everybody() -> None:
    spec = build(
        reserved=["10.0.0.0/8"],
        ingress=[{"from": [{"cidr": "10.1.0.0/16"}]}, {"from": [{"cidr": "10.1.0.0/16"}, {"podSelector": {}}]}],
    )["spec"]

    assert spec["ingress"] == [{"from": [{"podSelector": {}}]}]


@pytest.mark.parametrize("family", [4, 6])
@given(data=st.data())
def test_what_an_ip_block_opens_is_valid_and_holds_no_reserved_address(family: int, data: st.DataObject) -> None:
    networks = small_networks(family)
    cidr = data.draw(networks)
    whole = ip_network(cidr)
    smaller = networks.filter(lambda it: addresses([it]) < addresses([cidr]))
    excepted = data.draw(st.lists(smaller, max_size=4)) if whole.num_addresses > 1 else []
    reserved = data.draw(st.lists(networks, max_size=4))

    spec = build(reserved=reserved, cidrs=[{"cidr": cidr, "except": excepted}])["spec"]

    blocks = [peer["ipBlock"] for rule in spec.get("egress", []) for peer in rule["to"]]
    opened = {
        address for block in blocks for address in addresses([block["cidr"]]) - addresses(block.get("except", []))
    }
    assert opened == addresses([cidr]) - addresses(excepted) - addresses(reserved)
    assert all(ip_network(each) != ip_network(block["cidr"]) for block in blocks for each in block.get("except", []))
    assert all(ip_address(address) in whole for address in opened)
