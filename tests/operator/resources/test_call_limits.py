"""Which quota decides where several limit the same."""

from typing import Any

from ringfence_operator.api.quota import Quota
from ringfence_operator.resources.call_limits import deciding
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


def test_what_others_than_sidecars_keep_is_told_elsewhere() -> None:
    held = {"resource": "memory", "max": "1Gi"}

    assert rows(make_quota("a", held, limit("networkBytes")), make_quota("b", held, limit("networkBytes"))) == []
