from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ringfence_operator.api.conditions import Reason
from ringfence_operator.egress.quota_reports import NoSidecars, QuotaReports
from ringfence_operator.reconcile.quota_use import Use, Warned
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import NOW, agent_body, make_quota, pod_body

Raw = dict[str, Any]
CALLS: Raw = {"resource": "apiCalls", "max": 10, "window": "Hour"}
SHARED: Raw = {"resource": "queries", "max": 10, "window": "Hour", "scope": "Shared"}


def said(resource: str, used: float, *, shared: bool = False, quota: str = "q-uid", **more: Any) -> Raw:
    base = {"quotaUid": quota, "resource": resource, "window": "Hour", "shared": shared, "used": used}
    return {**base, "refusals": 0, "refusedAt": 0.0, "warned": 0.0, "warnedAt": 0.0, **more}


def source_of(reports: Mapping[str, list[Raw]]) -> QuotaReports:
    """Return what asks the sidecars of agents, which report what is in `reports` by the agent's name."""
    names = ("x", "y", "silent")
    view = view_of(
        agents=[agent_body(name) for name in names],
        pods=[pod_body(name, uid=f"pod-{name}") for name in names if name != "silent"],
    )
    return QuotaReports(view, lambda uid: tuple(reports.get(uid.removeprefix("pod-"), ())))


def uses_of(*limits: Raw, **reports: list[Raw]) -> dict[str, Use]:
    """Return what is known where the sidecars of these agents report so."""
    return dict(source_of(reports).uses(make_quota("q", *limits, selector={})))


def test_of_a_limit_of_each_agents_own_the_one_that_used_most_is_told() -> None:
    found = uses_of(
        CALLS,
        x=[said("apiCalls", 3.0, refusals=2, refusedAt=NOW.timestamp())],
        y=[said("apiCalls", 7.0, refusals=1, refusedAt=NOW.timestamp() - 60)],
    )

    assert found == {
        "apiCalls/Hour/PerAgent": Use(
            used=7.0,
            per_agent={"x": 3.0, "y": 7.0},
            refusals=3,
            refused_at=NOW,
            refused_agent="x",
            refused={"x": NOW, "y": NOW - timedelta(seconds=60)},
        )
    }


def test_when_each_agent_was_warned_is_told() -> None:
    (use,) = uses_of(
        CALLS,
        x=[said("apiCalls", 3.0, warned=50, warnedAt=NOW.timestamp() - 60)],
        y=[said("apiCalls", 7.0, warned=80, warnedAt=NOW.timestamp())],
    ).values()

    assert use.warned == (Warned(50, "x", NOW - timedelta(seconds=60)), Warned(80, "y", NOW))


def test_a_sidecar_that_begins_anew_adds_to_what_the_one_before_refused() -> None:
    reports: dict[str, list[Raw]] = {}
    source, limited = source_of(reports), make_quota("q", CALLS, selector={})
    found = []

    for refused in (4, 6, 1):
        reports["x"] = [said("apiCalls", 1.0, refusals=refused)]
        use = source.uses(limited)["apiCalls/Hour/PerAgent"]
        found.append((use.refusals, use.seen_refusals))

    assert found == [(4, 0), (6, 2), (1, 3)]


def test_a_limit_that_agents_share_is_added_up_and_said_not_to_be_kept() -> None:
    (use,) = uses_of(SHARED, x=[said("queries", 3.0, shared=True)], y=[said("queries", 4.0, shared=True)]).values()

    assert use.used == 7.0
    assert use.trouble is not None
    assert use.trouble[0] is Reason.NO_STORE
    assert "RINGFENCE_OPERATOR_REDIS_URL" in use.trouble[1]


def test_when_something_is_free_again_is_told_of_the_agent_that_used_most() -> None:
    soon, later = NOW.timestamp() + 60, NOW.timestamp() + 600
    own, shared = uses_of(
        CALLS,
        SHARED,
        x=[said("apiCalls", 3.0, resetsAt=soon), said("queries", 1.0, shared=True, resetsAt=later)],
        y=[said("apiCalls", 7.0, resetsAt=later), said("queries", 2.0, shared=True, resetsAt=soon)],
        silent=[],
    ).values()

    assert own.resets_at == NOW + timedelta(seconds=600)
    assert shared.resets_at == NOW + timedelta(seconds=60)


def test_what_is_said_of_another_quota_or_limit_is_not_counted() -> None:
    others = [said("apiCalls", 5.0, quota="other"), said("toolCalls", 5.0), said("apiCalls", 5.0, shared=True)]

    assert uses_of(CALLS, x=others) == {"apiCalls/Hour/PerAgent": Use(used=0.0, is_awaited=True)}


def test_what_no_sidecar_has_said_yet_is_not_known_and_where_there_is_none_nothing_is_used() -> None:
    nobody = QuotaReports(view_of(agents=[agent_body("x")]), lambda _: ())

    assert uses_of(CALLS)["apiCalls/Hour/PerAgent"].is_awaited
    assert not nobody.uses(make_quota("q", CALLS, selector={}))["apiCalls/Hour/PerAgent"].is_awaited


def test_what_sidecars_do_not_keep_is_for_others_to_tell() -> None:
    assert uses_of({"resource": "memory", "max": "1Gi"}) == {}


def test_without_an_image_for_sidecars_nobody_keeps_limits_on_calls() -> None:
    found = NoSidecars().uses(make_quota("q", CALLS, {"resource": "memory", "max": "1Gi"}))

    ((limit, use),) = found.items()
    assert limit == "apiCalls/Hour/PerAgent"
    assert use.trouble is not None
    assert use.trouble[0] is Reason.NOT_SUPPORTED
