from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.resources.gateway import (
    build_admission,
    build_gateway_egress,
    build_port_set_service,
    closed_cidrs,
    further_offsets,
    port_rules,
)
from ringfence_operator.resources.observed import Service, observe_network_policy, observe_service, service_digest
from ringfence_operator.resources.port_set import FURTHER, MOST_FURTHER, PORTS, first_port

Raw = dict[str, Any]
SYSTEM = "ringfence-system"


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}


NAME = "kubernetes.io/metadata.name"
BLOCK = 17
PORT_LISTS = st.lists(st.integers(1024, 1060), max_size=16, unique=True)


def service(further: dict[int, int]) -> Raw:
    return build_port_set_service(BLOCK, ("team", "p"), namespace=SYSTEM, further=further)


def observed(raw: Raw) -> Service:
    meta = raw["metadata"] | {"uid": "s", "resourceVersion": "1"}
    return observe_service(raw | {"metadata": meta, "spec": raw["spec"] | {"clusterIP": "10.96.0.9"}})


def test_a_port_sets_service_has_the_usual_ports_and_those_that_the_policy_names() -> None:
    raw = service({8443: 4, 5671: 3})

    ports = [(port["name"], port["port"], port["targetPort"], port["protocol"]) for port in raw["spec"]["ports"]]
    assert ports == [
        ("dns", 53, 10272, "UDP"),
        ("dns-tcp", 53, 10272, "TCP"),
        ("http", 80, 10273, "TCP"),
        ("proxy", 3128, 10273, "TCP"),
        ("tls", 443, 10274, "TCP"),
        ("tls-5671", 5671, 10275, "TCP"),
        ("tls-8443", 8443, 10276, "TCP"),
    ]
    assert raw["metadata"]["name"] == "p-00017"
    assert raw["spec"]["selector"] == {"app.kubernetes.io/name": "ringfence-gateway"}


def test_a_port_sets_service_is_observed_as_the_policys() -> None:
    raw = service({8443: 3})

    found = observed(raw)

    assert (found.policy, found.address) == ("team/p", "10.96.0.9")
    assert found.digest == service_digest(raw["spec"])


@pytest.mark.parametrize("key", ["app.kubernetes.io/managed-by", "ringfence.dev/policy-namespace"])
def test_a_service_without_our_labels_is_no_port_set(key: str) -> None:
    raw = service({})
    del raw["metadata"]["labels"][key]

    assert observed(raw).policy == ""


@pytest.mark.parametrize("name", ["p-17", "p-000170", "q-00017", "p-00017-x"])
def test_a_service_of_another_name_is_no_port_set(name: str) -> None:
    raw = service({})
    raw["metadata"]["name"] = name

    assert observed(raw).policy == ""


@given(before=PORT_LISTS, after=PORT_LISTS)
def test_a_port_that_stays_never_moves_and_no_place_is_given_twice(before: list[int], after: list[int]) -> None:
    had = further_offsets(before, None)

    has = further_offsets(after, observed(service(had)))

    assert all(has[port] == had[port] for port in after if port in had)
    assert len(set(has.values())) == len(has) == min(len(after), MOST_FURTHER)
    assert set(has.values()) <= set(range(FURTHER, FURTHER + MOST_FURTHER))


@given(edited=st.dictionaries(st.integers(1024, 1030), st.integers(0, 40), max_size=6), ports=PORT_LISTS)
def test_no_place_is_given_twice_although_somebody_edited_the_service(edited: dict[int, int], ports: list[int]) -> None:
    has = further_offsets([*edited, *ports], observed(service(edited)))

    assert len(set(has.values())) == len(has)
    assert set(has.values()) <= set(range(FURTHER, FURTHER + MOST_FURTHER))


def test_both_ends_name_every_port_of_the_block_and_no_other() -> None:
    udp, tcp = port_rules(BLOCK)

    assert udp == {"port": first_port(BLOCK), "protocol": "UDP"}
    assert (tcp["port"], tcp["endPort"] + 1) == (first_port(BLOCK), first_port(BLOCK) + PORTS)


def test_a_port_set_admits_the_agents_under_its_policy_only() -> None:
    raw = build_admission(BLOCK, ("team", "p"), namespace=SYSTEM, is_cluster=False)

    assert raw["metadata"]["name"] == "ringfence-gateway-p-00017"
    assert raw["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "ringfence-gateway"}}
    assert raw["spec"]["policyTypes"] == ["Ingress"]
    assert raw["spec"]["ingress"] == [
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {NAME: "team"}},
                    "podSelector": {"matchLabels": {"ringfence.dev/confined": "true", "ringfence.dev/policy": "p"}},
                }
            ],
            "ports": port_rules(BLOCK),
        }
    ]


def test_the_clusters_policy_admits_agents_of_every_namespace_but_our_own() -> None:
    raw = build_admission(BLOCK, ("sys", "base"), namespace=SYSTEM, is_cluster=True)

    assert raw["spec"]["ingress"][0]["from"][1] == {
        "namespaceSelector": {"matchExpressions": [{"key": NAME, "operator": "NotIn", "values": [SYSTEM]}]},
        "podSelector": {"matchLabels": {"ringfence.dev/confined": "true", "ringfence.dev/cluster-policy": "base"}},
    }


def test_our_network_policies_are_observed_as_ours() -> None:
    for raw in (
        build_admission(BLOCK, ("team", "p"), namespace=SYSTEM, is_cluster=False),
        build_gateway_egress(SYSTEM, [], []),
    ):
        raw["metadata"] |= {"uid": "n", "resourceVersion": "1"}
        assert observe_network_policy(raw).is_ours


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.20.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "203.0.113.9",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::a00:1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fc00::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "2001:0:a00::",
        "2001:db8:9::1",
    ],
)
def test_the_gateway_goes_nowhere_inside(address: str) -> None:
    closed = closed_cidrs(["203.0.113.0/24", "2001:db8:9::/48"])

    assert any(ip_address(address) in ip_network(cidr) for cidr in closed)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_the_gateway_goes_outside(address: str) -> None:
    assert not any(ip_address(address) in ip_network(cidr) for cidr in closed_cidrs(["10.0.0.0/8"]))


def test_no_exception_is_one_that_the_api_server_takes_for_the_other_family() -> None:
    egress = build_gateway_egress(SYSTEM, ["10.0.0.0/8"], [])["spec"]["egress"]

    for block in (each["ipBlock"] for each in egress[0]["to"]):
        inside = [ip_network(each) for each in block["except"]]
        assert all(each.version == ip_network(block["cidr"]).version for each in inside)
        assert not any(getattr(each.network_address, "ipv4_mapped", None) for each in inside)
        assert inside


@pytest.mark.parametrize(
    ("proxy", "opened"),
    [
        (None, []),
        ("http://10.1.2.3:3128", [{"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [_tcp(3128)]}]),
        ("http://proxy.corp.example:3128", []),
    ],
)
def test_an_upstream_proxy_is_open_where_its_address_is_known(proxy: str | None, opened: list[Any]) -> None:
    egress = build_gateway_egress(SYSTEM, ["10.0.0.0/8"], [], proxy)["spec"]["egress"]

    assert egress[1:] == opened


def test_the_gateway_asks_its_own_name_servers_wherever_they_are() -> None:
    egress = build_gateway_egress(SYSTEM, [], ["10.96.0.10", "2001:db8::53"])["spec"]["egress"]

    assert egress[0]["ports"] == [{"port": 1, "endPort": 65535, "protocol": "TCP"}]
    assert [each["ipBlock"]["cidr"] for each in egress[1]["to"]] == ["10.96.0.10/32", "2001:db8::53/128"]
    assert egress[1]["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert len(build_gateway_egress(SYSTEM, [], [])["spec"]["egress"]) == 1
