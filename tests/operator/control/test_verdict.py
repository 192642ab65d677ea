from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.control.verdict import Judged, Verdict, covering, judge
from ringfence_operator.resources.port_set import Domain
from tests.operator.control.port_sets import port_set

LABELS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
ENTRIES = st.one_of(NAMES, NAMES.map(lambda name: f"*.{name}"))
PORTS = st.sampled_from([(), (80,), (443,), (80, 443)])
DOMAINS = st.lists(st.builds(Domain, ENTRIES, PORTS), max_size=6).map(tuple)


def envoy_picks(judged: list[Judged], name: str) -> Verdict | None:
    """Return the verdict of the most specific entry that matches, as Envoy documents it for names and for hosts."""
    by_name = {each.name: each.verdict for each in judged}
    return next((by_name[each] for each in covering(name) if each in by_name), None)


@given(allowed=DOMAINS, blocked=DOMAINS, name=NAMES, port=st.sampled_from([80, 443]))
def test_what_envoy_picks_is_what_the_policy_promises(
    allowed: tuple[Domain, ...], blocked: tuple[Domain, ...], name: str, port: int
) -> None:
    found = port_set(1, domains=allowed, blocks=blocked)

    picked = envoy_picks(judge(found, port), name)

    def covers(domains: tuple[Domain, ...]) -> bool:
        return any(each.covers(name) and (not each.ports or port in each.ports) for each in domains)

    assert (picked is Verdict.ALLOWED) == (covers(allowed) and not covers(blocked))


@given(entry=ENTRIES, name=ENTRIES)
def test_covering_yields_what_domain_covers(entry: str, name: str) -> None:
    assert (entry in covering(name)) == Domain(entry).covers(name)


@pytest.mark.parametrize(
    ("allowed", "blocked", "judged"),
    [
        (["a.example"], [], [("a.example", "allowed", ())]),
        (["a.example"], ["a.example"], []),
        (["a.example"], ["*.example"], []),
        (["a.example"], ["b.example"], [("a.example", "allowed", ())]),
        (["*.w.example"], ["w.example"], [("*.w.example", "allowed", ())]),
        (["*.w.example"], ["x.w.example"],
         [("*.w.example", "allowed", ("x.w.example",)), ("x.w.example", "denied", ())]),
        (["*.w.example", "a.b.w.example"], ["*.b.w.example"],
         [("*.b.w.example", "denied", ()), ("*.w.example", "allowed", ("*.b.w.example",))]),
    ],
)  # fmt: skip
def test_only_names_that_change_a_verdict_count(allowed: list[str], blocked: list[str], judged: list[Any]) -> None:
    found = judge(port_set(1, *allowed, blocked=tuple(blocked)), 443)

    assert [(each.name, each.verdict, each.blocks) for each in found] == judged


def test_in_audit_a_block_is_let_through_and_told() -> None:
    found = judge(port_set(1, "*.w.example", blocked=("x.w.example",), is_audit=True), 443)

    assert [(each.name, each.verdict) for each in found] == [("*.w.example", "allowed"), ("x.w.example", "audited")]
