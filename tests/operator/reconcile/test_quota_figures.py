from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringfence_operator.api.quota import Limit
from ringfence_operator.api.quota_matrix import Window
from ringfence_operator.api.quota_status import LastWarning, LimitStatus
from ringfence_operator.reconcile.quota_figures import calendar_window, describe, limit_status, ratio_of, tightest_of
from ringfence_operator.reconcile.quota_marks import fresh_since
from ringfence_operator.reconcile.quota_use import Use, Warned
from tests.operator.resources.objects import NOW

Raw = dict[str, Any]
LATER = NOW + timedelta(seconds=30)


def limit(**said: Any) -> Limit:
    return Limit.model_validate({"resource": "queries", "max": 100, "window": "Hour", "scope": "Shared"} | said)


def row(use: Use | None, before: LimitStatus | None = None, **said: Any) -> LimitStatus:
    fresh = fresh_since(limit(**said), use, before, now=NOW) if use else None
    return limit_status(limit(**said), use, before, now=NOW, fresh=fresh)


def test_a_row_says_what_is_used_and_left_when_it_is_free_again_and_who_used_it() -> None:
    use = Use(
        used=80.0,
        per_agent={"a": 30.0, "b": 50.0, "idle": 0.0},
        resets_at=LATER,
        refusals=3,
        refused_at=NOW,
        refused_agent="b",
    )

    found = row(use, warnAt=[50, 75, 90])

    assert found.to_body() == {
        "resource": "queries",
        "window": "Hour",
        "scope": "Shared",
        "max": "100",
        "used": "80",
        "remaining": "20",
        "percent": 80,
        "warned": 75,
        "resetsAt": "2026-11-23T12:00:30Z",
        "refusals": 3,
        "lastRefusal": {"agent": "b", "time": "2026-11-23T12:00:00Z"},
        "lastWarning": {"percent": 75, "agent": "b", "time": "2026-11-23T12:00:00Z"},
        "topAgents": [{"name": "b", "used": "50"}, {"name": "a", "used": "30"}],
    }


@pytest.mark.parametrize(
    ("resource", "most", "used", "expected"),
    [
        ("queries", 100, 100.0, ("100", "0", 100)),
        ("queries", 100, 130.0, ("130", "0", 130)),
        ("queries", 3, 2.0, ("2", "1", 66)),
        ("querySeconds", 100, 99.2, ("100", "0", 99)),
        ("bytesReturned", "10Gi", 5.0 * 1024**3, ("5368709120", "5368709120", 50)),
        ("cpu", 2, 1.25, ("1250m", "750m", 62)),
        ("credits", "500m", 0.01, ("10m", "490m", 2)),
        ("credits", 2, 0.000278, ("1m", "1999m", 0)),
        ("queries", 100, 0.0, ("0", "100", 0)),
    ],
)
def test_never_less_is_said_to_be_used_or_more_to_be_left_than_there_is(
    resource: str, most: Any, used: float, expected: tuple[str, str, int]
) -> None:
    found = row(Use(used=used), resource=resource, max=most)

    assert (found.used, found.remaining, found.percent) == expected


def test_a_warning_that_a_call_was_told_is_kept_though_use_is_less_by_now() -> None:
    told = Use(used=0.0, warned=(Warned(90, "b", NOW - timedelta(seconds=4)),))

    found = row(told, window="Second", warnAt=[90])
    kept = row(Use(used=0.0, warned=(Warned(50, "a", NOW - timedelta(seconds=9)),)), found, window="Second")

    assert (found.used, found.warned) == ("0", 0)
    assert found.last_warning == LastWarning(percent=90, agent="b", time=NOW - timedelta(seconds=4))
    assert kept.last_warning == found.last_warning


def test_what_is_not_known_yet_is_what_the_status_says_and_nothing_where_it_says_nothing() -> None:
    awaited = Use(used=0.0, is_awaited=True)
    before = row(Use(used=80.0, refusals=2))

    assert row(awaited, before) == before
    assert row(awaited).used is None
    assert row(awaited, before, max=50).used is None


def test_what_nobody_measures_has_no_figures() -> None:
    found = row(None, resource="cpu", max=2, window="None", scope="PerAgent")

    assert found.to_body() == {
        "resource": "cpu",
        "window": "None",
        "scope": "PerAgent",
        "max": "2",
        "warned": 0,
        "refusals": 0,
    }


def test_refusals_are_never_forgotten_although_a_part_that_counts_begins_anew() -> None:
    before = row(Use(used=100.0, refusals=9, refused_at=LATER, refused_agent="b"))

    after = row(Use(used=0.0, refusals=1, refused_at=NOW, refused_agent="a"), before)
    unknown = row(None, before)

    for found in (after, unknown):
        assert found.refusals == 9
        assert found.last_refusal is not None
        assert found.last_refusal.agent == "b"


def test_refusals_of_a_part_that_counts_anew_are_added_to_those_before() -> None:
    before = row(Use(used=100.0, refusals=9))

    found = [
        limit_status(limit(), Use(used=0.0, refusals=1, seen_refusals=seen), before, now=NOW, seen_refusals=4).refusals
        for seen in (4, 5, 7)
    ]

    assert found == [9, 10, 12]


def test_more_than_was_seen_is_believed_where_it_was_counted() -> None:
    before = row(Use(used=100.0, refusals=9))

    assert row(Use(used=0.0, refusals=15, seen_refusals=2), before).refusals == 15


def test_the_five_agents_that_used_most_are_named() -> None:
    found = row(Use(used=21.0, per_agent={f"a{number}": float(number) for number in range(7)}))

    assert [each.name for each in found.top_agents] == ["a6", "a5", "a4", "a3", "a2"]


@pytest.mark.parametrize(
    ("window", "ends"),
    [
        ("Second", datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)),
        ("Minute", datetime(2026, 11, 23, 12, 1, tzinfo=UTC)),
        ("Hour", datetime(2026, 11, 23, 13, tzinfo=UTC)),
        ("Day", datetime(2026, 11, 24, tzinfo=UTC)),
        ("Month", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_calendars_window_resets_at_its_end_and_only_where_something_is_used(window: str, ends: datetime) -> None:
    used = row(Use(used=1.0, resets_at=LATER), window=window, alignment="Calendar")
    unused = row(Use(used=0.0, resets_at=LATER), window=window, alignment="Calendar")

    assert (used.resets_at, unused.resets_at) == (ends, None)


def test_the_last_month_of_a_year_ends_with_it() -> None:
    begin, end = calendar_window(Window.MONTH, datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert (begin, end) == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_the_tightest_is_the_one_nearest_its_end_of_those_that_somebody_measures() -> None:
    wide = row(Use(used=900.0), max=1_000, resource="rows")
    tight = row(Use(used=95.0))
    unknown = row(None, resource="cpu", max=1, window="None", scope="PerAgent")

    assert tightest_of((wide, tight, unknown)) == tight
    assert tightest_of((unknown,)) is None
    assert (ratio_of(tight), ratio_of(unknown)) == (0.95, 0.0)


def test_what_a_row_rounds_up_makes_its_limit_neither_the_tightest_nor_nearer_its_end() -> None:
    seconds = Use(used=0.1)
    rounded = row(seconds, resource="querySeconds", max=1)
    queries = row(Use(used=40.0))

    assert rounded.used == "1"
    assert tightest_of((rounded, queries)) == queries
    assert ratio_of(rounded, seconds) == pytest.approx(0.1)


@pytest.mark.parametrize("nothing", [None, Use(used=0.0, is_awaited=True), Use(used=0.0, is_measured=False)])
def test_of_what_nobody_says_now_the_row_tells_how_near_it_was(nothing: Use | None) -> None:
    assert ratio_of(row(Use(used=95.0)), nothing) == 0.95


@pytest.mark.parametrize(
    ("said", "used", "expected"),
    [
        ({}, 80.0, "queries 80/100 per Hour"),
        ({"resource": "concurrentCalls", "window": "None", "max": 5}, 5.0, "concurrentCalls 5/5"),
        (
            {"resource": "bytesReturned", "window": "Day", "max": "10Gi"},
            5.2 * 1024**3,
            "bytesReturned 5.2Gi/10Gi per Day",
        ),
        ({"resource": "rows", "max": "5M"}, 1_234_567.0, "rows 1.2M/5M per Hour"),
        ({"resource": "cpu", "max": "500m", "window": "None"}, 0.25, "cpu 250m/500m"),
    ],
)
def test_a_limit_is_described_in_few_words(said: Raw, used: float, expected: str) -> None:
    assert describe(row(Use(used=used), **said)) == expected
