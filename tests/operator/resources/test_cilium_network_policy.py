import re
from copy import deepcopy
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ringfence_operator.resources.cilium_network_policy import (
    CiliumAround,
    build_cilium_network_policy,
    cilium_digest,
    observe_cilium_policy,
    unsupported,
)
from ringfence_operator.resources.observed import observe_service
from tests.operator.resources.cilium_schema import VERSIONS, mistakes
from tests.operator.resources.objects import make_policy
from tests.operator.resources.snapshot import assert_snapshot

Raw = dict[str, Any]
DNS = observe_service(
    {
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "uid": "d", "resourceVersion": "1"},
        "spec": {
            "clusterIP": "10.96.0.10",
            "selector": {"k8s-app": "kube-dns"},
            "ports": [
                {"port": 53, "protocol": "UDP", "targetPort": "dns"},
                {"port": 53, "protocol": "TCP", "targetPort": 1053},
                {"port": 9153, "protocol": "TCP", "targetPort": 9153},
            ],
        },
    }
)
NAMES: list[Raw] = [{"name": "api.example.com"}, {"name": "*.cdn.example.net"}]
WRITTEN: dict[str, tuple[Raw, list[tuple[str, str]]]] = {
    "names": ({"allowedDomains": NAMES}, []),
    "ports": (
        {
            "allowedDomains": [
                {"name": "plain.example.com", "ports": [80]},
                {"name": "*.example.com", "ports": [443, 8443]},
                {"name": "b.example.com", "ports": [9443]},
            ]
        },
        [],
    ),
    "services": (
        {"destinations": [{"service": {"name": "db"}}, {"service": {"name": "mq", "namespace": "data"}}]},
        [("team", "db"), ("data", "mq")],
    ),
    "private": (
        {
            "allowedDomains": NAMES,
            "cidrs": [
                {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"], "ports": [{"port": 443}]},
                {"cidr": "192.168.0.0/16"},
            ],
        },
        [],
    ),
}
SNAPSHOTS = [(name, is_cluster) for name in WRITTEN for is_cluster in (False, True)]


def build(
    network: Raw, services: list[tuple[str, str]] | None = None, *, is_cluster: bool = False, reserved: Any = ()
) -> Raw | None:
    return build_cilium_network_policy(
        make_policy(network=network),
        namespace="team",
        is_cluster=is_cluster,
        around=CiliumAround(
            dns_namespace="kube-system",
            dns=DNS,
            cluster_domain="cluster.local",
            reserved=reserved,
            services=services or (),
        ),
    )


def built(network: Raw, services: list[tuple[str, str]] | None = None, **how: Any) -> Raw:
    found = build(network, services, **how)
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "is_cluster"), SNAPSHOTS)
def test_what_is_written_is_what_somebody_looked_at(name: str, is_cluster: bool) -> None:
    body = built(*WRITTEN[name], is_cluster=is_cluster, reserved=["10.244.0.0/16"])

    assert_snapshot(f"cilium-{name}{'-cluster' if is_cluster else ''}", body)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "is_cluster"), SNAPSHOTS)
def test_what_is_written_is_valid_by_ciliums_published_schema(name: str, is_cluster: bool, version: str) -> None:
    body = built(*WRITTEN[name], is_cluster=is_cluster, reserved=["10.244.0.0/16"])

    assert mistakes(body, version) == []


def test_the_oldest_and_a_newer_version_of_cilium_are_held_against() -> None:
    assert VERSIONS == ("v1.19.0", "v1.20.2")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "egres"), []),
        (("spec", "egress", 0, "toFqdns"), [{"matchName": "a.example.com"}]),
        (("spec", "egress", 1, "toPorts", 0, "servernames"), ["a.example.com"]),
        (("spec", "egress", 0, "toPorts", 0, "rules", "tls"), []),
        (("spec", "egress", 1, "toFQDNs", 0, "matchname"), "a.example.com"),
        (("spec", "egress", 1, "toFQDNs", 0, "matchPattern"), "two at once"),
        (("spec", "egress", 1, "toPorts", 0, "ports", 0, "port"), 443),
        (("spec", "egress", 1, "toPorts", 0, "serverNames"), []),
        (("spec", "egressDeny", 0, "toFQDNs"), [{"matchName": "a.example.com"}]),
        (("spec", "nodeSelector"), {}),
        (("more",), {}),
    ],
)
def test_the_schema_notices_a_field_that_would_be_pruned_and_a_value_that_does_not_fit(
    place: tuple[str | int, ...], value: Any, version: str
) -> None:
    body: Any = deepcopy(built({"allowedDomains": [{"name": "a.example.com", "ports": [443]}]}))
    assert mistakes(body, version) == []

    within = body
    for step in place[:-1]:
        within = within[step]
    within[place[-1]] = value

    assert mistakes(body, version) != []


REFUSED: list[tuple[Raw, str]] = [
    ({"mode": "Audit"}, "write mode: Enforce with allowedDomains"),
    ({"mode": "Audit", "allowedDomains": NAMES}, "write mode: Enforce with allowedDomains"),
    ({"allowedDomains": NAMES, "blockedDomains": [{"name": "ads.cdn.example.net"}]}, "ads.cdn.example.net"),
    ({"allowedDomains": NAMES, "blockedDomains": [{"name": "*.ads.cdn.example.net"}]}, "each name that is needed"),
    ({"allowedDomains": NAMES, "blockedDomains": [{"name": "x.example.org", "ports": [80]}]}, "under allowedDomains"),
    ({"blockedDomains": [{"name": "x.example.org"}]}, "leave it out"),
]


@pytest.mark.parametrize(("network", "told"), REFUSED)
def test_what_cilium_cannot_say_is_refused_with_what_to_write_instead(network: Raw, told: str) -> None:
    assert told in unsupported(make_policy(network=network))
    assert "--egress-backend=envoy" in unsupported(make_policy(network=network))
    with pytest.raises(ValueError, match="Cilium cannot"):
        build(network)


@pytest.mark.parametrize("network", [{}, {"enabled": False}, *(network for network, _ in WRITTEN.values())])
def test_everything_else_is_not_refused(network: Raw) -> None:
    assert unsupported(make_policy(network=network)) == ""


@pytest.mark.parametrize("network", [{}, {"enabled": False}, {"cidrs": [{"cidr": "8.8.8.0/24"}]}])
def test_a_policy_without_names_needs_none(network: Raw) -> None:
    assert build(network) is None


def test_a_closed_network_opens_no_service_by_name() -> None:
    assert build({"enabled": False}, [("team", "db")]) is None


def dns_names(body: Raw) -> list[Raw]:
    (to_ports,) = body["spec"]["egress"][0]["toPorts"]
    return to_ports["rules"]["dns"]  # type: ignore[no-any-return]


def test_exactly_the_allowed_names_are_answered() -> None:
    body = built({"allowedDomains": NAMES}, [("data", "mq")])

    assert dns_names(body) == [
        {"matchPattern": "**.cdn.example.net"},
        {"matchName": "api.example.com"},
        {"matchName": "mq.data.svc.cluster.local"},
    ]


@pytest.mark.parametrize("name", WRITTEN)
def test_the_dns_rule_is_never_empty_which_would_answer_everything(name: str) -> None:
    assert dns_names(built(*WRITTEN[name])) != []


def test_name_servers_are_reached_at_their_own_ports() -> None:
    rule = built({"allowedDomains": NAMES})["spec"]["egress"][0]

    assert rule["toEndpoints"] == [
        {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns"}}
    ]
    ports = [{"port": "dns", "protocol": "UDP"}, {"port": "1053", "protocol": "TCP"}]
    assert [each["ports"] for each in rule["toPorts"]] == [ports]


@pytest.mark.parametrize("name", WRITTEN)
def test_no_name_is_opened_without_a_check_of_what_is_said_on_the_connection(name: str) -> None:
    for rule in built(*WRITTEN[name])["spec"]["egress"][1:]:
        (selector,) = rule["toFQDNs"]
        (pattern,) = selector.values()
        for to_ports in rule["toPorts"]:
            is_http = to_ports["ports"] == [{"port": "80", "protocol": "TCP"}]
            assert ("rules" in to_ports) is is_http
            assert is_http or to_ports["serverNames"] == [pattern]
            assert all(each["protocol"] == "TCP" for each in to_ports["ports"])


@pytest.mark.parametrize(
    ("domain", "host", "expected"),
    [
        ("a-b.example.com", "a-b.example.com", True),
        ("a-b.example.com", "a-b.example.com:80", True),
        ("a-b.example.com", "a-b.example.com:8080", False),
        ("a-b.example.com", "a-bxexample.com", False),
        ("a-b.example.com", "x.a-b.example.com", False),
        ("a-b.example.com", "a-b.example.com.evil.test", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "b.a.example.com:80", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "evil.test/.example.com", False),
        ("*.example.com", "aexample.com", False),
    ],
)
def test_the_host_is_matched_as_our_wildcards_are(domain: str, host: str, expected: bool) -> None:
    rule = built({"allowedDomains": [{"name": domain, "ports": [80]}]})["spec"]["egress"][1]

    expression = rule["toPorts"][0]["rules"]["http"][0]["host"]

    assert (re.fullmatch(expression, host) is not None) is expected


def denied(body: Raw, address: str, port: int) -> bool:
    """Return True if the deny rules hold for this address."""
    here = ip_address(address)
    return any(
        here in ip_network(block["cidr"]) and not any(here in ip_network(each) for each in block.get("except", ()))
        for rule in body["spec"].get("egressDeny", ())
        if {"port": str(port), "protocol": "TCP"} in rule["toPorts"][0]["ports"]
        for block in rule["toCIDRSet"]
    )


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "127.0.0.1", "10.0.0.7", "192.168.1.1", "100.64.0.1", "fd00::1", "::1", "203.0.113.9"],
)
def test_a_name_opens_no_private_or_reserved_address(address: str) -> None:
    body = built({"allowedDomains": NAMES}, reserved=["203.0.113.0/24"])

    assert denied(body, address, 80)
    assert denied(body, address, 443)
    assert not denied(body, "198.51.100.7", 443)
    assert not denied(body, "2001:db8::7", 443)


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("10.2.0.1", 443, False),
        ("10.2.0.1", 80, True),
        ("10.1.0.1", 443, True),
        ("10.244.0.1", 443, True),
        ("192.168.1.1", 80, False),
        ("172.16.0.1", 443, True),
    ],
)
def test_an_address_that_the_policy_opens_itself_is_denied_no_more_than_without_names(
    address: str, port: int, expected: bool
) -> None:
    body = built(*WRITTEN["private"], reserved=["10.244.0.0/16"])

    assert denied(body, address, port) is expected


def test_a_private_block_that_is_opened_whole_is_left_out_of_the_deny() -> None:
    halves = [{"cidr": "10.0.0.0/9"}, {"cidr": "10.128.0.0/9"}]

    body = built({"allowedDomains": NAMES, "cidrs": halves})

    for rule in body["spec"]["egressDeny"]:
        assert "10.0.0.0/8" not in [each["cidr"] for each in rule["toCIDRSet"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_more_ports_than_cilium_takes_in_one_place_are_valid_too(version: str) -> None:
    domains = [{"name": f"n{at}.example.com", "ports": [*range(9000 + 8 * at, 9008 + 8 * at)]} for at in range(12)]

    body = built({"allowedDomains": domains})

    assert mistakes(body, version) == []
    assert all(denied(body, "10.0.0.1", port) for port in range(9000, 9096))


def seen(body: Raw, **changes: Any) -> Raw:
    return body | {"metadata": body["metadata"] | {"uid": "u", "resourceVersion": "1"}} | changes


def test_what_somebody_adds_beside_or_inside_counts_as_a_difference() -> None:
    body = built({"allowedDomains": NAMES})
    wanted = cilium_digest(body)

    same = observe_cilium_policy(seen(body, status={"conditions": [{"type": "Valid", "status": "True"}]}))
    beside = observe_cilium_policy(seen(body, specs=[{"endpointSelector": {}, "egress": [{}]}]))
    inside = observe_cilium_policy(seen(body, spec=body["spec"] | {"egress": [{}]}))

    assert same.is_ours
    assert same.digest == wanted
    assert wanted not in (beside.digest, inside.digest)


def test_what_cilium_says_against_it_is_seen() -> None:
    condition = {"type": "Valid", "status": "False", "message": "too many ports"}

    found = observe_cilium_policy(seen(built({"allowedDomains": NAMES}), status={"conditions": [condition]}))

    assert found.refusal == "too many ports"


def test_another_ones_is_not_ours() -> None:
    body = built({"allowedDomains": NAMES})
    theirs = seen(body, metadata={"name": "theirs", "namespace": "team", "uid": "u", "resourceVersion": "1"})

    assert not observe_cilium_policy(theirs).is_ours
