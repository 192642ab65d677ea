"""The limits that the operator hands over, read by the sidecar's own decoder."""

from typing import Any

import orjson
import pytest

from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource
from ringfence_operator.resources.sidecar_configuration import build_sidecar_configuration
from ringfence_operator.resources.sidecar_limits import build_limits, build_others
from ringfence_sidecar.configuration import Limit, decode
from tests.operator.resources.objects import make_agent, make_quota

Raw = dict[str, Any]


def decoded(*quotas: Quota, agents: int = 1, missing: str | None = None) -> tuple[Limit, ...]:
    limits = build_limits([(each, agents) for each in quotas], missing=missing)
    return decode(orjson.dumps(build_sidecar_configuration(make_agent(), (), limits=limits))).limits


def test_a_limit_is_told_with_everything_that_its_quota_says() -> None:
    quota = make_quota(
        "q",
        {
            "resource": "bytesReturned",
            "max": "10Gi",
            "window": "Day",
            "alignment": "Calendar",
            "scope": "Shared",
            "enforcement": "Soft",
            "softDeadline": "5s",
            "onStoreUnavailable": "Local",
            "warnAt": [90, 50],
        },
    )

    assert decoded(quota, agents=7) == (
        Limit(
            quota="q",
            quota_uid="q-uid",
            resource="bytesReturned",
            max=10.0 * 1024**3,
            window="Day",
            calendar=True,
            shared=True,
            enforcement="Soft",
            soft_deadline_seconds=5,
            on_store_unavailable="Local",
            warn_at=(50, 90),
            agents=7,
        ),
    )


@pytest.mark.parametrize(
    ("said", "field", "expected"),
    [
        ({"max": "1500"}, "max", 1500.0),
        ({"window": "Minute"}, "window", "Minute"),
        ({"alignment": "Sliding"}, "calendar", False),
        ({"alignment": "Calendar"}, "calendar", True),
        ({"scope": "Shared"}, "shared", True),
        ({"enforcement": "Warn"}, "enforcement", "Warn"),
        ({"enforcement": "Soft"}, "soft_deadline_seconds", 30),
        ({"enforcement": "Soft", "softDeadline": "2m"}, "soft_deadline_seconds", 120),
        ({"onStoreUnavailable": "Allow"}, "on_store_unavailable", "Allow"),
        ({}, "on_store_unavailable", ""),
        ({"warnAt": [80]}, "warn_at", (80,)),
        ({}, "agents", 1),
        ({"scope": "Shared"}, "agents", 9),
    ],
)
def test_a_field_of_a_limit_changes_its_own_part(said: Raw, field: str, expected: object) -> None:
    quota = make_quota("q", {"resource": "queries", "max": 100, "window": "Hour"} | said)

    (limit,) = decoded(quota, agents=9)

    assert getattr(limit, field) == expected


def test_only_what_sidecars_keep_is_told_and_in_one_order() -> None:
    every = [
        {"resource": resource.value, "max": 5, "window": row.windows[-1].value, "scope": row.scopes[0].value}
        for resource, row in MATRIX.items()
        if row.windows
    ]

    found = decoded(make_quota("b", *reversed(every)), make_quota("a"))

    assert [each.quota for each in found] == ["a", *["b"] * (len(found) - 1)]
    kept = [each.value for each, row in MATRIX.items() if row.enforcer is Enforcer.SIDECAR]
    assert [each.resource for each in found[1:]] == sorted(kept)
    assert Resource.MEMORY.value not in kept


def test_the_limits_that_others_keep_are_told_beside_them() -> None:
    every = [
        {"resource": resource.value, "max": 5, "window": row.windows[-1].value, "scope": row.scopes[-1].value}
        for resource, row in MATRIX.items()
        if row.windows
    ]
    quota = make_quota("q", *every)

    wire = build_sidecar_configuration(
        make_agent(), (), limits=build_limits([(quota, 9)]), others=build_others([quota])
    )

    found = decode(orjson.dumps(wire))
    kept = {each.value for each, row in MATRIX.items() if row.enforcer is not Enforcer.SIDECAR and row.windows}
    assert [each.resource for each in found.others] == sorted(kept)
    assert {(each.quota, each.max, each.agents) for each in found.others} == {("q", 5.0, 1)}
    assert not kept & {each.resource for each in found.limits}


def test_of_a_quota_that_does_not_exist_nothing_may_be_used() -> None:
    limits = decoded(missing="gone")

    assert [each.resource for each in limits] == ["apiCalls", "messagesReceived", "rows"]
    assert {(each.quota, each.quota_uid, each.max, each.enforcement) for each in limits} == {("gone", "", 0, "Hard")}
    assert {(each.on_store_unavailable, each.shared) for each in limits} == {("Deny", False)}


def test_a_change_of_a_limit_is_another_version() -> None:
    one, other = (
        build_sidecar_configuration(
            make_agent(), (), limits=build_limits([(make_quota("q", {"resource": "queries", "max": most}), 1)])
        )
        for most in (1, 2)
    )

    assert one["version"] != other["version"]
    assert "limits" not in build_sidecar_configuration(make_agent(), ())
