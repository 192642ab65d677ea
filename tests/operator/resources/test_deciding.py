"""Which quota decides where several limit the same."""

from typing import Any

import pytest

from ringfence_operator.api.quota import Quota
from ringfence_operator.resources.deciding import deciding
from tests.operator.resources.objects import make_quota

Raw = dict[str, Any]


def limit(resource: str = "queries", most: Any = 100, **more: Any) -> Raw:
    return {"resource": resource, "max": most, "window": "Hour", **more}


def rows(*quotas: Quota) -> list[tuple[str, str, str | None]]:
    return [(each.name, each.value, each.object) for each in deciding(quotas)]


def test_of_several_quotas_the_strictest_is_named_and_of_equal_ones_the_first() -> None:
    found = rows(
        make_quota("a", limit(most="1k"), limit("rows", 10)),
        make_quota("b", limit(most=200), limit("rows", 10)),
        make_quota("c", limit(most=300)),
    )

    assert found == [("queries/Hour/PerAgent", "200", "b"), ("rows/Hour/PerAgent", "10", "a")]


def test_what_one_quota_says_alone_needs_no_word() -> None:
    assert rows(make_quota("a", limit(), limit("rows")), make_quota("b", limit("apiCalls"))) == []


def test_other_windows_and_scopes_are_other_limits() -> None:
    one = make_quota("a", limit(), limit(window="Day"))

    assert rows(one, make_quota("b", limit(scope="Shared"), limit(window="Minute"))) == []


def test_what_only_warns_decides_nothing() -> None:
    assert rows(make_quota("a", limit(most=1, enforcement="Warn")), make_quota("b", limit())) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"resource": "networkBytes", "window": "Day"}, "networkBytes/Day/PerAgent"),
        ({"resource": "networkConnections"}, "networkConnections/None/PerAgent"),
        ({"resource": "agents", "scope": "Shared"}, "agents/None/Shared"),
        ({"resource": "podSeconds", "window": "Day", "scope": "Shared"}, "podSeconds/Day/Shared"),
    ],
)
def test_so_it_is_with_what_gateway_and_operator_keep(given: Raw, name: str) -> None:
    found = rows(make_quota("wide", {**given, "max": 200}), make_quota("strict", {**given, "max": 100}))

    assert found == [(name, "100", "strict")]


def test_of_what_the_node_keeps_the_value_in_force_says_whose_it_is() -> None:
    held = {"resource": "memory", "max": "1Gi"}

    assert rows(make_quota("a", held), make_quota("b", held)) == []
