import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_gateway.names import Verdict
from ringfence_gateway.port_set import PortSet, Settings, block_of
from ringfence_operator.resources import port_set as operators
from tests.gateway.builders import port_set, wire


def test_what_the_operator_sends_is_understood() -> None:
    sent = operators.PortSet(
        block=3,
        policy="team/web",
        version="7",
        address="fd00::17",
        is_audit=True,
        allowed=(operators.Domain("*.example.com", (80, 443)),),
        blocked=(operators.Domain("bad.example.com"),),
        services={"db.team": "10.96.0.50"},
        further={8443: 3},
    )

    read = PortSet.from_json(json.dumps(sent.to_wire()).encode())

    assert (read.block, read.policy, read.address, read.is_audit) == (3, "team/web", ip_address("fd00::17"), True)
    assert read.tls_ports == {2: 443, 3: 8443}
    assert read.judge("a.example.com", 443) is Verdict.ALLOWED
    assert read.judge("bad.example.com", 443) is Verdict.AUDITED


@pytest.mark.parametrize(
    "changes",
    [
        {"block": -1},
        {"block": 1_875},
        {"address": "None"},
        {"allowed": [["*", [443]]]},
        {"allowed": None},
        {"services": {"db": "10.0.0.1"}},
        {"services": {"db.team": "db"}},
        {"further": {"x": 3}},
    ],
)
def test_a_port_set_that_cannot_be_served_is_refused(changes: dict[str, Any]) -> None:
    text = json.dumps(wire(**changes)).encode()

    with pytest.raises(ValueError, match=r"\S"):
        PortSet.from_json(text)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b"3"])
def test_what_is_no_port_set_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        PortSet.from_json(text)
    with pytest.raises(ValueError, match=r"\S"):
        Settings.from_json(text)


def test_a_policy_of_another_namespace_does_not_see_the_short_name() -> None:
    addresses = port_set().service_addresses("cluster.test")

    assert {"db", "db.team", "db.team.svc.cluster.test", "cache.other.svc"} <= addresses.keys()
    assert "cache" not in addresses


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("p-00017", 17),
        ("p-00017-http", None),
        ("p-01874", 1874),
        ("p-01875", None),
        ("p-000171", None),
        ("p-0001", None),
        ("p-+0017", None),
        ("settings", None),
        ("", None),
    ],
)
def test_a_block_is_known_by_its_name(name: str, block: int | None) -> None:
    assert block_of(name) == block


LABEL = st.sampled_from(["a", "b", "c"])
NAME = st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "example"]))
DOMAIN = st.builds(
    lambda name, is_wildcard, ports: operators.Domain(f"*.{name}" if is_wildcard else name, tuple(ports)),
    NAME,
    st.booleans(),
    st.sets(st.sampled_from([80, 443])),
)


@given(st.lists(DOMAIN, max_size=6), st.lists(DOMAIN, max_size=4), NAME, st.sampled_from([80, 443]))
def test_a_name_is_judged_as_the_operator_means_it(
    allowed: list[operators.Domain], blocked: list[operators.Domain], name: str, port: int
) -> None:
    def covers(domains: list[operators.Domain], port: int) -> bool:
        return any(each.covers(name) and (not each.ports or port in each.ports) for each in domains)

    entries = [[[each.name, list(each.ports)] for each in domains] for domains in (allowed, blocked)]
    read = port_set(allowed=entries[0], blocked=entries[1])

    is_open = {each: covers(allowed, each) and not covers(blocked, each) for each in (80, 443, 8443)}
    assert (read.judge(name, port) is Verdict.ALLOWED) is is_open[port]
    assert (read.judge(name) is Verdict.ALLOWED) is any(is_open.values())
