from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.resources.domains import (
    allowed_domains,
    blocked_domains,
    further_ports,
    invalid_domains,
    on_ports,
    uses_names,
)
from ringfence_operator.resources.port_set import DEFAULT_PORTS, Domain
from tests.operator.resources.objects import make_policy

Raw = dict[str, Any]
SERVICE: Raw = {"destinations": [{"service": {"name": "db"}}]}

PORTS = st.sampled_from([80, 443, 8443, 9443])
NAMES = st.sampled_from(["a.io", "b.a.io", "c.b.a.io", "xa.io", "b.io"])
ENTRY_NAMES = st.one_of(NAMES, NAMES.map(lambda name: f"*.{name}"))
ENTRIES = st.lists(
    st.fixed_dictionaries({"name": ENTRY_NAMES, "ports": st.lists(PORTS, max_size=3, unique=True)}),
    max_size=6,
    unique_by=lambda entry: entry["name"],
)


def policy(allowed: list[Raw], blocked: list[Raw] | None = None, **network: Any) -> Any:
    return make_policy(network={"allowedDomains": allowed, "blockedDomains": blocked or [], **network})


def named(*names: str) -> list[Raw]:
    return [{"name": name} for name in names]


def lies_in(name: str, entry: str) -> bool:
    return name.endswith(entry[1:]) if entry.startswith("*.") else name == entry


@given(allowed=ENTRIES, blocked=ENTRIES, name=NAMES, port=PORTS)
def test_a_name_is_open_on_a_port_if_an_allowed_entry_covers_both_and_no_blocked_one_does(
    allowed: list[Raw], blocked: list[Raw], name: str, port: int
) -> None:
    found = policy(allowed, blocked)

    # As the gateway judges: blocks first, then what is allowed.
    is_open = any(each.covers(name) and port in each.ports for each in allowed_domains(found)) and not any(
        each.covers(name) and (not each.ports or port in each.ports) for each in blocked_domains(found)
    )

    is_wanted = any(lies_in(name, each["name"]) and port in (each["ports"] or DEFAULT_PORTS) for each in allowed)
    is_blocked = any(lies_in(name, each["name"]) and (not each["ports"] or port in each["ports"]) for each in blocked)
    assert is_open is (is_wanted and not is_blocked)


@given(allowed=ENTRIES, blocked=ENTRIES)
def test_the_order_in_which_names_are_written_changes_nothing(allowed: list[Raw], blocked: list[Raw]) -> None:
    one, other = policy(allowed, blocked), policy(allowed[::-1], blocked[::-1])

    assert allowed_domains(one) == allowed_domains(other)
    assert blocked_domains(one) == blocked_domains(other)


@pytest.mark.parametrize(
    ("blocked", "expected"),
    [
        ([], ["*.a.io", "a.io", "x.a.io"]),
        (named("a.io"), ["*.a.io", "x.a.io"]),
        (named("*.a.io"), ["a.io"]),
        (named("x.a.io"), ["*.a.io", "a.io"]),
        ([{"name": "x.a.io", "ports": [80]}], ["*.a.io", "a.io", "x.a.io"]),
    ],
)
def test_what_a_block_covers_whole_is_left_out(blocked: list[Raw], expected: list[str]) -> None:
    found = allowed_domains(policy(named("a.io", "*.a.io", "x.a.io"), blocked))

    assert [each.name for each in found] == expected


@given(allowed=ENTRIES, places=st.sets(PORTS))
def test_only_ports_with_a_place_stay_open(allowed: list[Raw], places: set[int]) -> None:
    before = allowed_domains(policy(allowed))

    after = on_ports(before, places)

    opened = {(each.name, port) for each in before for port in each.ports}
    assert {(each.name, port) for each in after for port in each.ports} == {
        (name, port) for name, port in opened if port in {*DEFAULT_PORTS, *places}
    }
    assert all(each.ports for each in after)


def test_further_ports_are_those_besides_the_usual_ones() -> None:
    assert further_ports((Domain("a.io", (80, 443, 8443)), Domain("b.io", (5671, 8443)))) == (5671, 8443)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({}, False),
        ({"enabled": False}, False),
        ({"allowedDomains": named("a.io")}, True),
        ({"blockedDomains": named("a.io")}, False),
        ({"mode": "Audit"}, True),
        (SERVICE, True),
        ({"destinations": [{"podSelector": {}}]}, False),
        ({"cidrs": [{"cidr": "8.8.8.0/24"}]}, False),
    ],
)
def test_a_policy_uses_names_if_anything_is_reached_by_one(network: Raw, expected: bool) -> None:
    assert uses_names(make_policy(network=network)) is expected


@pytest.mark.parametrize("name", ["a.io", "*.a.io", "xn--bcher-kva.example", "*.xn--bcher-kva.example", "a-b.c1.io"])
def test_a_name_that_stands_for_something_is_valid(name: str) -> None:
    assert invalid_domains(policy(named(name))) == []


@pytest.mark.parametrize("name", ["xn--a.io", "www.xn--zzzzzz99999.io", "xn--abc-.io", "*.xn--a.io"])
def test_an_encoded_label_that_stands_for_nothing_is_told(name: str) -> None:
    assert invalid_domains(policy(named(name))) == [name]
    assert invalid_domains(policy([], named(name))) == [name]


@given(rest=st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=59))
def test_any_encoded_label_is_valid_or_told(rest: str) -> None:
    name = f"xn--{rest}.io"

    assert invalid_domains(policy(named(name))) in ([], [name])
