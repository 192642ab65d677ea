"""Which of two SecurityPolicies is the looser one, and whether a pod keeps what a policy asks of it."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.network import Network, NetworkMode
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.effective import Surroundings, effective
from ringfence_operator.resources.selector import selects
from ringfence_operator.resources.strictness import looser, pod_lacks
from tests.operator.resources.objects import SETTINGS, make_agent, policy_body

Raw = dict[str, Any]
A, B = {"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}}
TIGHT = {"matchLabels": {"app": "a", "tier": "x"}}


def policy(name: str = "p", **spec: Any) -> SecurityPolicy:
    return SecurityPolicy.from_body(policy_body(name, **spec))


def network(**fields: Any) -> SecurityPolicy:
    return policy(network=fields)


def domain(name: str, *ports: int) -> Raw:
    return {"name": name, **({"ports": list(ports)} if ports else {})}


SAME_OR_STRICTER = [
    ({}, {}),
    ({"enabled": False}, {"allowedDomains": [domain("a.test")]}),
    ({"allowedDomains": [domain("a.test")]}, {"allowedDomains": [domain("a.test"), domain("b.test")]}),
    ({"allowedDomains": [domain("a.test", 443)]}, {"allowedDomains": [domain("a.test")]}),
    ({"allowedDomains": [domain("x.a.test")]}, {"allowedDomains": [domain("*.a.test")]}),
    ({"allowedDomains": [domain("*.x.a.test")]}, {"allowedDomains": [domain("*.a.test")]}),
    ({"allowedDomains": [domain("a.test")]}, {"mode": "Audit"}),
    ({"mode": "Audit"}, {"mode": "Audit"}),
    (
        {"allowedDomains": [domain("b.test", 8443)]},
        {"mode": "Audit", "allowedDomains": [domain("a.test", 8443)]},
    ),
    (
        {"allowedDomains": [domain("a.test")], "blockedDomains": [domain("a.test")]},
        {"allowedDomains": []},
    ),
    (
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("*.x.a.test")]},
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("y.x.a.test")]},
    ),
    (
        {"allowedDomains": [domain("b.a.test")]},
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("x.a.test")]},
    ),
    (
        {"allowedDomains": [domain("x.a.test", 443)]},
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("x.a.test", 80)]},
    ),
    ({"cidrs": [{"cidr": "10.1.0.0/16"}]}, {"cidrs": [{"cidr": "10.0.0.0/8"}]}),
    ({"cidrs": [{"cidr": "fd00:1::/64"}]}, {"cidrs": [{"cidr": "fd00::/16"}]}),
    ({"cidrs": [{"cidr": "10.1.0.0/16"}]}, {"cidrs": [{"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16"]}]}),
    (
        {"cidrs": [{"cidr": "10.0.0.0/8", "except": ["10.2.0.0/15"]}]},
        {"cidrs": [{"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16"]}]},
    ),
    (
        {"cidrs": [{"cidr": "10.0.0.0/8", "ports": [{"port": 90}]}]},
        {"cidrs": [{"cidr": "10.0.0.0/8", "ports": [{"port": 80, "endPort": 99}]}]},
    ),
    ({"destinations": [{"podSelector": TIGHT}]}, {"destinations": [{"podSelector": A}]}),
    ({"destinations": [{"podSelector": A}]}, {"destinations": [{"namespaceSelector": {}, "podSelector": A}]}),
    (
        {"destinations": [{"service": {"name": "db"}}]},
        {"destinations": [{"service": {"name": "db", "namespace": "team"}}]},
    ),
    ({"ingress": [{"from": [{"podSelector": TIGHT}]}]}, {"ingress": [{"from": [{"podSelector": {}}]}]}),
]
LOOSER = [
    ({"mode": "Audit"}, {}, "mode is Audit"),
    ({"allowedDomains": [domain("a.test", 8443)]}, {"mode": "Audit"}, "names are allowed on port 8443"),
    (
        {"mode": "Audit", "allowedDomains": [domain("a.test", 8443)]},
        {"mode": "Audit", "allowedDomains": [domain("a.test", 9443)]},
        "names are allowed on port 8443",
    ),
    (
        {"allowedDomains": [domain("a.test", 8443)]},
        {"mode": "Audit", "allowedDomains": [domain("a.test", 8443)], "blockedDomains": [domain("a.test")]},
        "names are allowed on port 8443",
    ),
    ({"allowedDomains": [domain("b.test")]}, {"allowedDomains": [domain("a.test")]}, "b.test is allowed on port 80"),
    (
        {"allowedDomains": [domain("a.test", 443, 8443)]},
        {"allowedDomains": [domain("a.test")]},
        "a.test is allowed on port 8443",
    ),
    ({"allowedDomains": [domain("a.test")]}, {"allowedDomains": [domain("*.a.test")]}, "a.test is allowed"),
    ({"allowedDomains": [domain("*.a.test")]}, {"allowedDomains": [domain("x.a.test")]}, "*.a.test is allowed"),
    (
        {"allowedDomains": [domain("*.a.test")]},
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("x.a.test")]},
        "x.a.test is not blocked",
    ),
    (
        {"allowedDomains": [domain("x.a.test")]},
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("*.a.test", 443)]},
        "x.a.test is allowed on port 443",
    ),
    (
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("x.a.test", 80)]},
        {"allowedDomains": [domain("*.a.test")], "blockedDomains": [domain("x.a.test")]},
        "x.a.test is not blocked",
    ),
    ({"cidrs": [{"cidr": "10.0.0.0/8"}]}, {"cidrs": [{"cidr": "10.1.0.0/16"}]}, "cidr 10.0.0.0/8 is open"),
    ({"cidrs": [{"cidr": "::/0"}]}, {"cidrs": [{"cidr": "0.0.0.0/0"}]}, "cidr ::/0 is open"),
    (
        {"cidrs": [{"cidr": "10.2.3.0/24"}]},
        {"cidrs": [{"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16"]}]},
        "cidr 10.2.3.0/24 is open",
    ),
    (
        {"cidrs": [{"cidr": "10.0.0.0/8"}]},
        {"cidrs": [{"cidr": "10.0.0.0/8", "ports": [{"port": 80}]}]},
        "cidr 10.0.0.0/8 is open",
    ),
    (
        {"cidrs": [{"cidr": "10.0.0.0/8", "ports": [{"port": 80, "protocol": "UDP"}]}]},
        {"cidrs": [{"cidr": "10.0.0.0/8", "ports": [{"port": 80}]}]},
        "cidr 10.0.0.0/8 is open",
    ),
    ({"destinations": [{"podSelector": A}]}, {"destinations": [{"podSelector": B}]}, "destinations[0] is open"),
    ({"destinations": [{"podSelector": A}]}, {"destinations": [{"podSelector": TIGHT}]}, "destinations[0] is open"),
    ({"destinations": [{"namespaceSelector": {}}]}, {"destinations": [{"podSelector": {}}]}, "destinations[0] is open"),
    (
        {"destinations": [{"service": {"name": "db", "namespace": "other"}}]},
        {"destinations": [{"service": {"name": "db"}}]},
        "destinations[0] is open",
    ),
    (
        {"destinations": [{"podSelector": A}]},
        {"destinations": [{"service": {"name": "db"}}]},
        "destinations[0] is open",
    ),
    (
        {"ingress": [{"from": [{"cidr": "10.0.0.0/8"}]}]},
        {"ingress": [{"from": [{"podSelector": {}}]}]},
        "ingress[0] is open",
    ),
    (
        {"ingress": [{"from": [{"podSelector": A}]}]},
        {"ingress": [{"from": [{"podSelector": A}], "ports": [{"port": 80}]}]},
        "ingress[0] is open",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME_OR_STRICTER)
def test_a_policy_that_opens_no_more_is_not_looser(one: Raw, other: Raw) -> None:
    assert looser(network(**one), network(**other)) == ""


@pytest.mark.parametrize(("one", "other", "words"), LOOSER)
def test_what_a_policy_opens_besides_is_said(one: Raw, other: Raw, words: str) -> None:
    assert words in looser(network(**one), network(**other))


def test_no_policy_opens_nothing() -> None:
    opens = network(allowedDomains=[domain("a.test")])

    assert looser(None, opens) == ""
    assert looser(None, None) == ""
    assert "a.test" in looser(opens, None)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("1h", "1h", ""),
        ("30m", "1h", ""),
        ("1h", None, ""),
        ("2h", "1h", "maxExecutionTime is not at most 1h"),
        (None, "1h", "maxExecutionTime is not at most 1h"),
    ],
)
def test_a_longer_time_is_looser(one: str | None, other: str | None, words: str) -> None:
    mine, theirs = ({"maxExecutionTime": each} if each else {} for each in (one, other))

    assert looser(policy(**mine), policy(**theirs)) == words


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({}, {}, ""),
        ({"localSize": "16Mi", "eviction": "TTL"}, {"localSize": "0.015625Gi"}, ""),
        ({"localSize": "17Mi"}, {}, "cache.localSize is not at most 16Mi"),
        ({}, {"localSize": "1Mi"}, "cache.localSize is not at most 1Mi"),
        ({"localSize": "17Mi", "values": {"enabled": False}}, {}, "cache.localSize is not at most 16Mi"),
        ({"values": {"enabled": False}}, {}, ""),
        ({"values": {"enabled": False}}, {"values": {"enabled": False}}, ""),
        ({}, {"values": {"enabled": False}}, "cache.values.enabled is not false"),
        ({"values": {"enabled": False, "sharedAs": "all", "maxSize": "9Mi", "maxTtl": "48h"}}, {}, ""),
        ({}, {"values": {"sharedAs": "all"}}, ""),
        ({"values": {"sharedAs": "all"}}, {"values": {"sharedAs": "all"}}, ""),
        ({"values": {"sharedAs": "all"}}, {}, "cache.values.sharedAs is all"),
        ({"values": {"sharedAs": "all"}}, {"values": {"sharedAs": "team"}}, "cache.values.sharedAs is all"),
        ({"values": {"maxSize": "1024Ki"}}, {}, ""),
        ({"values": {"maxSize": "2Mi"}}, {}, "cache.values.maxSize is not at most 1Mi"),
        ({}, {"values": {"maxSize": "1Ki"}}, "cache.values.maxSize is not at most 1Ki"),
        ({"values": {"maxTtl": "24h"}}, {}, ""),
        ({"values": {"maxTtl": "25h"}}, {}, "cache.values.maxTtl is not at most 24h"),
        ({}, {"values": {"maxTtl": "60s"}}, "cache.values.maxTtl is not at most 1m"),
    ],
)
def test_a_cache_that_keeps_or_shares_more_is_looser(one: Raw, other: Raw, words: str) -> None:
    assert looser(policy(cache=one), policy(cache=other)) == words
    assert looser(policy(cache=one, network={"enabled": False}), policy(cache=other)) == words
    if not one:
        assert looser(None, policy(cache=other)) == words
    if not other:
        assert looser(policy(cache=one), None) == words


# --- properties: whatever a policy that is not looser lets through, the other lets through ---

NAMES = ["a.test", "x.a.test", "y.x.a.test", "b.test"]
UNNAMED = "z.test"
"""No entry names it: only Audit opens it."""
PORTS = [80, 443, 8443]
PODS = [{}, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}]
ADDRESSES = ["10.0.0.1", "10.0.1.1", "10.1.0.1", "11.0.0.1"]
ports = st.lists(st.sampled_from(PORTS), max_size=2, unique=True)
domains = st.lists(
    st.builds(lambda name, at: domain(name, *at), st.sampled_from([*NAMES, "*.a.test", "*.x.a.test", "*.test"]), ports),
    max_size=3,
    unique_by=lambda it: it["name"],
)
requirement = st.one_of(
    st.builds(
        lambda key, how, values: {"key": key, "operator": how, "values": values},
        st.sampled_from(["app", "tier"]),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(["a", "b", "x"]), min_size=1, max_size=2, unique=True),
    ),
    st.builds(
        lambda key, how: {"key": key, "operator": how},
        st.sampled_from(["app", "tier"]),
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)
selector = st.builds(
    lambda exact, more: {"matchLabels": exact, "matchExpressions": more},
    st.sampled_from(PODS),
    st.lists(requirement, max_size=2),
)
open_ports = st.lists(
    st.builds(
        lambda first, more: {"port": first, "endPort": first + more}, st.sampled_from(PORTS), st.integers(0, 400)
    ),
    max_size=2,
)
block = st.one_of(
    st.builds(
        lambda cidr, at: {"cidr": cidr, "ports": at},
        st.sampled_from(["10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/16", "0.0.0.0/0"]),
        open_ports,
    ),
    st.builds(
        lambda gap, at: {"cidr": "10.0.0.0/8", "except": [gap], "ports": at},
        st.sampled_from(["10.0.0.0/16", "10.0.1.0/24", "10.1.0.0/16"]),
        open_ports,
    ),
)
networks = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["Enforce", "Audit"]),
        "allowedDomains": domains,
        "blockedDomains": domains,
        "destinations": st.lists(
            st.builds(lambda it, at: {"podSelector": it, "ports": at}, selector, open_ports), max_size=2
        ),
        "cidrs": st.lists(block, max_size=2),
    }
)


def let_through(it: SecurityPolicy) -> set[Any]:
    """Return all of a small world that the policy opens."""
    spec: Network = it.spec.network
    pods = {
        (number, port)
        for each in spec.destinations
        for number, labels in enumerate(PODS)
        for port in (*PORTS, 8500)
        if each.pod_selector and selects(each.pod_selector.to_body(), labels) and is_open(each.ports, port)
    }
    addresses = {
        (address, port)
        for each in spec.cidrs
        for address in ADDRESSES
        for port in (*PORTS, 8500)
        if lies_in(address, each.cidr) and not any(lies_in(address, gap) for gap in each.except_)
        and is_open(each.ports, port)
    }  # fmt: skip
    return open_names(spec) | pods | addresses


def open_names(spec: Network) -> set[Any]:
    """Return the names that are reached, as docs/concepts/egress.md says it, and not as the operator works it out.

    Enforce: what an entry allows and none blocks. Audit: every name, on the usual ports and on those that an entry
    names which is not itself blocked there.
    """

    def is_allowed(name: str, port: int) -> bool:
        return any(stands_for(each.name, name) and port in (each.ports or (80, 443)) for each in spec.allowed_domains)

    def is_blocked(name: str, port: int) -> bool:
        return any(stands_for(each.name, name) and port in (each.ports or PORTS) for each in spec.blocked_domains)

    places = {(name, port) for name in (*NAMES, UNNAMED) for port in PORTS}
    if spec.mode is NetworkMode.ENFORCE:
        return {each for each in places if is_allowed(*each) and not is_blocked(*each)}
    named = {port for each in spec.allowed_domains for port in each.ports if not is_blocked(each.name, port)}
    return {(name, port) for name, port in places if port in {80, 443} | named}


def stands_for(entry: str, name: str) -> bool:
    return name == entry or (entry.startswith("*.") and name.endswith(entry[1:]))


def is_open(at: Any, port: int) -> bool:
    return not at or any(each.port <= port <= (each.end_port or each.port) for each in at)


def lies_in(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr)


@given(one=networks, other=networks)
def test_what_a_policy_that_is_not_looser_lets_through_the_other_does_too(one: Raw, other: Raw) -> None:
    mine, theirs = network(**one), network(**other)

    if not looser(mine, theirs):
        assert let_through(mine) <= let_through(theirs)


@given(one=networks, data=st.data())
def test_a_policy_with_something_taken_out_is_not_looser(one: Raw, data: st.DataObject) -> None:
    less = dict(one)
    for name in ("allowedDomains", "destinations", "cidrs"):
        less[name] = data.draw(st.lists(st.sampled_from(one[name]), unique_by=str)) if one[name] else []

    assert looser(network(**less), network(**one)) == ""


# --- pods ---


def lacks(asked: Raw, pools: Raw, isolation: str = "Container") -> str:
    agent = make_agent(isolation=isolation)
    pod = effective(agent, policy(**pools), SETTINGS, Surroundings(runtime_classes=frozenset({"kata", "runc"})))
    return pod_lacks(policy(**asked), pod)


def writes(**paths: str) -> Raw:
    return {"fileSystem": {"writablePaths": [{"path": f"/{path.replace('_', '/')}", "size": size} for path, size in paths.items()]}}  # fmt: skip  # noqa: E501


LOCAL = {"seccompProfile": {"type": "Localhost", "localhostProfile": "tight.json"}}


@pytest.mark.parametrize(
    ("asked", "pools", "isolation", "words"),
    [
        ({}, {}, "Container", ""),
        ({}, writes(data="1Gi") | LOCAL | {"runtimeClassName": "kata"}, "Container", ""),
        ({"fileSystem": {"readOnlyRoot": True}}, {}, "Container", ""),
        ({"fileSystem": {"readOnlyRoot": True}}, {}, "Basic", "fileSystem.readOnlyRoot"),
        (writes(tmp="64Mi"), {}, "Container", ""),
        (writes(tmp="32Mi"), {}, "Container", "fileSystem.writablePaths"),
        (writes(data="1Gi"), writes(data_cache="64Mi"), "Container", ""),
        (writes(data="100Mi"), writes(data_a="64Mi", data_b="64Mi"), "Container", "fileSystem.writablePaths"),
        (writes(data="1Gi"), writes(tmp="64Mi"), "Container", "fileSystem.writablePaths"),
        (writes(data="1Gi"), {}, "Basic", "fileSystem.writablePaths"),
        (writes(data="1Gi"), writes(data="1Gi", tmp="64Mi"), "Basic", ""),
        ({"runtimeClassName": "kata"}, {"runtimeClassName": "kata"}, "Container", ""),
        ({"runtimeClassName": "kata"}, {"runtimeClassName": "runc"}, "Container", "runtimeClassName kata"),
        ({"runtimeClassName": "kata"}, {}, "Container", "runtimeClassName kata"),
        (LOCAL, LOCAL, "Container", ""),
        (LOCAL, {}, "Container", "seccompProfile"),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, {}, "Container", ""),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, LOCAL, "Container", "seccompProfile"),
    ],
)
def test_a_pod_keeps_what_a_policy_asks_or_it_is_said_what_not(
    asked: Raw, pools: Raw, isolation: str, words: str
) -> None:
    assert lacks(asked, pools, isolation) == words
