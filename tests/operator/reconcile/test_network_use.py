from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringfence_operator.api.quota import Limit
from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.reconcile import network_use
from ringfence_operator.reconcile.network_quota import Held
from ringfence_operator.reconcile.network_sums import CountedUse
from ringfence_operator.reconcile.network_use import NetworkUse, first_slot, free_at

NOW = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)


def limit(window: str = "Minute", **more: Any) -> Limit:
    return Limit.model_validate({"resource": "networkBytes", "max": "1000", "window": window, **more})


def report(meter: str = "gateway-0/a", agent: str = "one", **more: Any) -> dict[str, Any]:
    entry = {"agent": agent, "total": 0, "open": 0, "refused": 0, "cut": 0, "slots": {}, **more}
    return {"kind": "metered", "replica": meter.partition("/")[0], "meter": meter, "agents": [entry]}


def frees_at(use: NetworkUse, of: Limit) -> datetime | None:
    return CountedUse(use, {}, {}).frees_at(Held("team", "net", "quota-1", of), "one", now=NOW)


def minute(seconds: float) -> str:
    return str(int((NOW.timestamp() + seconds) // 3))


def test_what_all_meters_counted_within_the_window_is_added_up() -> None:
    use = NetworkUse()

    use.hear(report("gateway-0/a", slots={"Minute": {minute(-30): 5, minute(0): 7}}), now=NOW)
    use.hear(report("gateway-1/b", slots={"Minute": {minute(0): 100}}), now=NOW)
    use.hear(report("gateway-0/a", agent="two", slots={"Minute": {minute(0): 1}}), now=NOW)

    assert use.used(["one"], limit(), now=NOW) == 112
    assert use.used(["one", "two"], limit(), now=NOW) == 113


def test_what_is_told_again_is_not_counted_again() -> None:
    use = NetworkUse()

    for _ in range(2):
        use.hear(report(slots={"Minute": {minute(0): 5}}), now=NOW)
    use.hear(report(slots={"Minute": {minute(0): 9}}), now=NOW)

    assert use.used(["one"], limit(), now=NOW) == 9


def test_what_has_left_the_window_counts_no_more_and_never_too_early() -> None:
    use = NetworkUse()
    use.hear(report(slots={"Minute": {minute(0): 5}}), now=NOW)

    freed = frees_at(use, limit())

    assert freed is not None
    assert timedelta(seconds=60) <= freed - NOW <= timedelta(seconds=63)
    assert use.used(["one"], limit(), now=freed - timedelta(seconds=1)) == 5
    assert use.used(["one"], limit(), now=freed) == 0


@pytest.mark.parametrize(
    ("window", "ends"),
    [
        ("Minute", "2026-11-28T12:01:00"),
        ("Hour", "2026-11-28T13:00:00"),
        ("Day", "2026-11-29T00:00:00"),
        ("Month", "2026-12-01T00:00:00"),
    ],
)
def test_a_window_of_the_calendar_ends_with_it(window: str, ends: str) -> None:
    calendar = limit(window, alignment="Calendar")
    use = NetworkUse()
    use.hear(report(slots={f"{window}/Calendar": {str(first_slot(calendar, NOW)): 5}}), now=NOW)

    freed = frees_at(use, calendar)

    assert freed == datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert use.used(["one"], calendar, now=NOW) == 5
    assert use.used(["one"], calendar, now=freed) == 0


def test_december_ends_with_the_year() -> None:
    calendar = limit("Month", alignment="Calendar")
    december = first_slot(calendar, datetime(2026, 12, 24, tzinfo=UTC))

    assert free_at(calendar, december) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_meter_that_began_anew_adds_to_what_the_one_before_had_counted() -> None:
    use = NetworkUse()

    use.hear(report("gateway-0/a", total=5, slots={"Minute": {minute(0): 5}}), now=NOW)
    use.hear(report("gateway-0/b", total=3, slots={"Minute": {minute(0): 3}}), now=NOW)

    assert use.used(["one"], limit(), now=NOW) == 8
    assert use.totals("one") == {"gateway-0/a": 5, "gateway-0/b": 3}


def test_what_a_meter_had_open_is_closed_once_another_one_has_its_place() -> None:
    use = NetworkUse()
    use.hear(report("gateway-0/a", open=3), now=NOW)

    use.hear(report("gateway-0/b", agent="two", open=1), now=NOW)

    assert use.open("one", ["gateway-0"]) == 0
    assert use.open("two", ["gateway-0"]) == 1


def test_what_a_replica_had_open_is_closed_though_nobody_heard_it_go() -> None:
    use = NetworkUse()
    use.hear(report("gateway-0/a", open=3), now=NOW)
    use.hear(report("gateway-1/b", open=2), now=NOW)

    use.nobody_is_there()
    while_away = use.open("one", ["gateway-0", "gateway-1"])
    use.hear(report("gateway-1/b", open=2), now=NOW)

    assert while_away == 5
    assert use.open("one", ["gateway-1", "gateway-2"]) == 2


def test_a_refusal_that_others_repeat_before_the_meter_itself_does_is_no_news() -> None:
    told: list[int] = []
    use = NetworkUse(on_refused=lambda _agent, _resource, count: told.append(count))
    use.hear(report("gateway-0/a", total=5, refused=2) | {"isPast": True}, now=NOW, is_old=True)

    use.hear(report("gateway-0/a", total=9, refused=4), now=NOW, is_old=True)
    at_first = list(told)
    use.hear(report("gateway-0/a", total=9, refused=5), now=NOW, is_old=True)

    assert at_first == []
    assert told == [1]


def test_a_replica_that_is_gone_has_nothing_open_and_what_was_used_through_it_is_used() -> None:
    use = NetworkUse()
    use.hear(report("gateway-0/a", open=3, slots={"Minute": {minute(0): 5}}), now=NOW)
    use.hear(report("gateway-1/b", open=1), now=NOW)

    touched = use.left("gateway-0")

    assert touched == ["one"]
    assert use.open("one", ["gateway-0", "gateway-1"]) == 1
    assert use.used(["one"], limit(), now=NOW) == 5


def test_of_agents_without_a_pod_the_one_that_used_nothing_for_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_use, "MOST_AGENTS", 3)
    use = NetworkUse(has_pod={"here"}.__contains__)
    for agent in ("here", "idle", "busy"):
        use.hear(report(agent=agent, total=1, slots={"Minute": {minute(0): 1}}), now=NOW)
    for agent in ("idle", "busy"):
        use.hear(report(agent=agent, total=2 if agent == "busy" else 1), now=NOW)

    touched = use.hear(report(agent="new", slots={"Minute": {minute(0): 5}}), now=NOW)

    assert touched == ["new"]
    assert [agent for agent in ("here", "idle", "busy", "new") if use.has(agent)] == ["here", "busy", "new"]


def test_who_used_nothing_since_and_has_no_pod_is_forgotten() -> None:
    use = NetworkUse(has_pod={"here"}.__contains__)
    use.hear(report(agent="here"), now=NOW)
    use.hear(report(agent="gone", total=1), now=NOW)
    use.hear(report(agent="later", total=1), now=NOW + timedelta(seconds=9))

    use.forget_before(NOW + timedelta(seconds=1))

    assert [agent for agent in ("here", "gone", "later") if use.has(agent)] == ["here", "later"]


def test_refusals_are_kept_apart_by_what_they_were_for() -> None:
    use = NetworkUse()

    use.hear(report(refused=2), now=NOW)
    use.hear(report(refused=2, cut=5), now=NOW + timedelta(seconds=9))

    assert use.refusals("one", Resource.NETWORK_CONNECTIONS) == (2, NOW)
    assert use.refusals("one", Resource.NETWORK_BYTES) == (5, NOW + timedelta(seconds=9))
