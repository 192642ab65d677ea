"""Which quotas hold for which agents, found by the caches' indices."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import Enforcer
from ringfence_operator.reconcile.quotas import (
    agents_of,
    has_call_limits,
    has_sidecar,
    limits_of,
    missing_quota,
    quotas_of,
    share_among,
)
from ringfence_operator.reconcile.view import View
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import agent_body, make_quota, pod_body, quota_body

Raw = dict[str, Any]
MEMORY: Raw = {"resource": "memory", "max": "1Gi"}


def labelled(name: str, labels: Raw, **spec: Any) -> Raw:
    body = agent_body(name, **spec)
    body["metadata"]["labels"] = labels
    return body


def selecting(name: str, **labels: str) -> Raw:
    return quota_body(name, selector={"matchLabels": labels} if labels else {})


def names_for(agent: Raw, view: View) -> list[str]:
    return [each.metadata.name for each in quotas_of(Agent.from_body(agent), view)]


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (labelled("a", {"team": "red", "size": "l"}), ["all", "big-reds", "not-blue", "reds"]),
        (labelled("a", {"team": "red"}), ["all", "not-blue", "reds"]),
        (labelled("a", {"team": "blue"}), ["all"]),
        (labelled("a", {"team": "blue"}, quotaRef={"name": "named"}), ["all", "named"]),
        (labelled("a", {"team": "red"}, quotaRef={"name": "reds"}), ["all", "not-blue", "reds"]),
    ],
)
def test_quotas_hold_that_select_the_agent_or_are_named_by_it(agent: Raw, expected: list[str]) -> None:
    not_blue = {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["blue"]}]}
    elsewhere = quota_body("elsewhere", namespace="other", selector={})
    quotas = [
        selecting("reds", team="red"),
        selecting("big-reds", team="red", size="l"),
        selecting("all"),
        quota_body("not-blue", selector=not_blue),
        quota_body("named"),
        elsewhere,
    ]

    assert names_for(agent, view_of(agents=[agent], quotas=quotas)) == expected


def test_a_quota_that_is_being_deleted_holds_no_more_and_one_that_is_named_is_missing() -> None:
    agent = agent_body(quotaRef={"name": "q"})
    leaving = quota_body(selector={})
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    there, gone, none = view_of(quotas=[quota_body()]), view_of(quotas=[leaving]), view_of()

    assert [names_for(agent, view) for view in (there, gone, none)] == [["q"], [], []]
    assert [missing_quota(Agent.from_body(agent), view) for view in (there, gone, none)] == [None, "q", "q"]
    assert missing_quota(Agent.from_body(agent_body()), none) is None


LABELS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("123"), max_size=3)


def _selecting(name: str, labels: Raw | None) -> Raw:
    return quota_body(name) if labels is None else quota_body(name, selector={"matchLabels": labels})


@given(
    agents=st.lists(st.tuples(LABELS, st.sampled_from(["", "q0", "q1"])), min_size=1, max_size=6),
    selectors=st.lists(st.none() | LABELS, min_size=1, max_size=4),
)
def test_both_directions_agree_with_each_other_and_with_a_search_of_everything(
    agents: list[tuple[Raw, str]], selectors: list[Raw | None]
) -> None:
    bodies = [
        labelled(f"a{number}", labels, **({"quotaRef": {"name": ref}} if ref else {}))
        for number, (labels, ref) in enumerate(agents)
    ]
    quotas = [_selecting(f"q{number}", each) for number, each in enumerate(selectors)]
    view = view_of(agents=bodies, quotas=quotas)

    forth = {(each["metadata"]["name"], name) for each in bodies for name in names_for(each, view)}
    back = {(name, each["metadata"]["name"]) for each in quotas for _, name in agents_of(Quota.from_body(each), view)}
    searched = {
        (f"a{i}", f"q{j}")
        for i, (labels, ref) in enumerate(agents)
        for j, wanted in enumerate(selectors)
        if ref == f"q{j}" or (wanted is not None and wanted.items() <= labels.items())
    }

    assert forth == back == searched


def test_a_sidecar_is_due_to_limits_that_sidecars_keep_and_to_no_others() -> None:
    calls, memory = make_quota("calls"), make_quota("memory", MEMORY)

    assert [has_call_limits([calls]), has_call_limits([memory]), has_call_limits([memory, calls])] == [
        True,
        False,
        True,
    ]
    assert [limit.id for _, limit in limits_of([calls, memory], Enforcer.NODE)] == ["memory/None/PerAgent"]


def test_an_agent_has_a_sidecar_for_connectors_for_limits_and_as_long_as_its_pod_has_one() -> None:
    old = pod_body("d")
    old["metadata"]["annotations"]["ringfence.dev/sidecar-hash"] = "x"
    bodies = [
        agent_body("a", connectors=[{"name": "c"}]),
        agent_body("b", quotaRef={"name": "calls"}),
        agent_body("c", quotaRef={"name": "memory"}),
        agent_body("d"),
    ]
    view = view_of(agents=bodies, pods=[old], quotas=[quota_body("calls"), quota_body("memory", MEMORY)])

    found = {key[1] for key, record in view.agents.cache.items() if has_sidecar(record, view)}

    assert found == {"a", "b", "d"}


def test_a_quota_is_counted_once_to_share_it_out() -> None:
    view = view_of(agents=[agent_body(f"a{n}") for n in range(3)], quotas=[quota_body(selector={})])
    quota = make_quota(selector={})

    first = share_among(quota, view)
    view.quota_knowledge.shares[quota.key] = 7

    assert (first, share_among(quota, view)) == (3, 7)
