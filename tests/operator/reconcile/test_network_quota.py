from datetime import UTC, datetime
from typing import Any

from ringfence_operator.api.quota import Limit
from ringfence_operator.reconcile.network_quota import Allowed, Held, allowed

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 28, 13, tzinfo=UTC)


def held(quota: str, resource: str = "networkBytes", most: str = "1000", **more: Any) -> Held:
    window = "None" if resource == "networkConnections" else "Hour"
    limit = Limit.model_validate({"resource": resource, "max": most, "window": window, **more})
    return Held("team", quota, f"uid-{quota}", limit)


class Used:
    """What is used, by quota."""

    def __init__(self, **used: int) -> None:
        self._used = used

    def used(self, held: Held, agent: str, *, now: datetime) -> int:  # noqa: ARG002
        return self._used.get(held.quota, 0)

    def frees_at(self, held: Held, agent: str, *, now: datetime) -> datetime | None:  # noqa: ARG002
        return LATER


def judge(*limits: Held, **used: int) -> Allowed:
    return allowed(limits, "one", Used(**used), now=NOW)


def test_the_quota_that_leaves_least_decides() -> None:
    found = judge(held("wide", most="1Mi"), held("narrow", most="1k"), narrow=400, wide=400)

    assert found.bytes == 600
    assert "narrow" in found.words


def test_what_is_used_up_says_which_limit_and_when_there_is_more() -> None:
    found = judge(held("narrow", most="1k", scope="Shared"), narrow=4_000)

    assert found.is_spent
    assert found.resets_at == LATER
    assert found.words == (
        "Quota narrow: all 1k networkBytes per Hour of all its agents together are used up; "
        "there is more at 2026-11-28T13:00:00Z"
    )


def test_warn_limits_nothing() -> None:
    found = judge(
        held("soft", enforcement="Warn"), held("few", "networkConnections", "1", enforcement="Warn"), soft=9_999
    )

    assert (found.bytes, found.connections) == (None, None)


def test_the_fewest_connections_decide() -> None:
    found = judge(held("a", "networkConnections", "7"), held("b", "networkConnections", "3"))

    assert (found.bytes, found.connections) == (None, 3)
    assert found.words.startswith("Quota b: all 3 networkConnections are open")
