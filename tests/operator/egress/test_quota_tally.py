from ringfence_operator.api.quota import Limit
from ringfence_operator.egress.quota_buckets import Bucket
from ringfence_operator.egress.quota_tally import Tally

NOON = 1_795_435_200.0
SLOT = int(NOON) // 3
MINUTE = Limit.model_validate({"resource": "queries", "max": 100, "window": "Minute", "scope": "Shared"})
HELD = Limit.model_validate({"resource": "concurrentCalls", "max": 5, "scope": "Shared"})


def test_what_has_grown_between_two_looks_was_used_then() -> None:
    tally = Tally()
    tally.see(Bucket(slots={SLOT: 3.0}, totals={"a": 3.0}), MINUTE, NOON)
    tally.see(Bucket(slots={SLOT: 3.0, SLOT + 10: 4.0}, totals={"a": 5.0, "b": 2.0}), MINUTE, NOON + 30)

    assert tally.used(MINUTE, NOON + 30) == {"a": 5.0, "b": 2.0}
    assert tally.used(MINUTE, NOON + 63) == {"a": 2.0, "b": 2.0}
    assert tally.used(MINUTE, NOON + 93) == {}


def test_what_was_used_before_the_window_is_nobodys_in_it() -> None:
    tally = Tally()
    tally.see(Bucket(slots={SLOT: 3.0}, totals={"a": 1_000.0, "b": 3.0}), MINUTE, NOON)
    at_first = tally.used(MINUTE, NOON)

    tally.see(Bucket(slots={SLOT: 5.0}, totals={"a": 1_001.0, "b": 4.0}), MINUTE, NOON)

    assert (at_first, tally.used(MINUTE, NOON)) == ({}, {"a": 1.0, "b": 1.0})


def test_a_calendars_window_begins_with_nothing() -> None:
    calendar = Limit.model_validate(MINUTE.to_body() | {"alignment": "Calendar"})
    tally = Tally()
    tally.see(Bucket(slots={int(NOON): 3.0}, totals={"a": 3.0}), calendar, NOON + 59)

    assert tally.used(calendar, NOON + 59) == {"a": 3.0}
    assert tally.used(calendar, NOON + 60) == {}


def test_nobody_knows_who_holds_what() -> None:
    tally = Tally()
    tally.see(Bucket(granted=3.0, totals={"a": 3.0}), HELD, NOON)

    assert tally.used(HELD, NOON) == {}
