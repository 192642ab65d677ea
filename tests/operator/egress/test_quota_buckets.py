from typing import Any

import pytest

from ringfence_operator.api.quota import Limit
from ringfence_operator.egress.quota_buckets import (
    Bucket,
    Owner,
    bucket_key,
    free_at,
    keys_of_quota,
    owner_of,
    slot_of,
    used_at,
)
from ringfence_sidecar.configuration import Limit as TheirLimit
from tests.operator.resources.objects import make_quota

NOON = 1_795_435_200.0
"""2026-11-23T12:00:00Z."""
MINUTE_SLOT = int(NOON) // 3


def limit(**said: Any) -> Limit:
    return Limit.model_validate({"resource": "queries", "max": 100, "window": "Minute", "scope": "Shared"} | said)


def test_a_hash_is_read_and_what_is_no_number_in_it_counts_as_nothing() -> None:
    found = Bucket.of(
        {
            "s:7": "3",
            "s:8": "1.5",
            "s:x": "9",
            "s:9": "many",
            "a:u1": "4.5",
            "r": "2",
            "n": "3",
            "nt": "1795435200",
            "na": "u1",
            "u": "4.5",
            "w:80": "1795435201 u2",
            "w:50": "1795435199 u1",
        }
    )

    assert found == Bucket(
        slots={7: 3.0, 8: 1.5, 9: 0.0},
        granted=2.0,
        totals={"u1": 4.5},
        refusals=3,
        refused_at=1_795_435_200.0,
        refused_agent="u1",
        warned=((1_795_435_199.0, 50, "u1"), (1_795_435_201.0, 80, "u2")),
    )


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300", ""])
def test_no_hash_can_say_what_no_quantity_is(text: str) -> None:
    assert Bucket.of({"s:1": text, "r": text}) == Bucket(slots={1: 0.0})


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({}, "quota:q-uid:queries:Minute:Shared"),
        ({"alignment": "Sliding"}, "quota:q-uid:queries:Minute:Shared"),
        ({"alignment": "Calendar"}, "quota:q-uid:queries:Minute/calendar:Shared"),
        ({"resource": "concurrentCalls", "window": "None"}, "quota:q-uid:concurrentCalls:None:Shared"),
    ],
)
def test_a_bucket_has_the_key_that_it_is_counted_under(said: dict[str, Any], key: str) -> None:
    found = bucket_key("q-uid", limit(**said), "Shared")

    assert found == key
    assert owner_of(found) == Owner("q-uid", "Shared")


def test_a_limit_of_each_agents_own_has_a_bucket_for_each() -> None:
    keys = keys_of_quota(make_quota(), limit(scope="PerAgent"), ["u1", "u2"])

    assert keys == ["quota:q-uid:queries:Minute:u1", "quota:q-uid:queries:Minute:u2"]
    assert owner_of("quota:epoch") is None


def test_a_sliding_window_counts_twenty_slots_and_the_present_one() -> None:
    slots = {MINUTE_SLOT - 21: 1.0, MINUTE_SLOT - 20: 10.0, MINUTE_SLOT: 100.0}
    bucket = Bucket(slots=slots, granted=1_000.0)

    assert used_at(bucket, limit(), NOON) == 1_110.0
    assert used_at(bucket, limit(), NOON + 3) == 1_100.0
    assert used_at(bucket, limit(), NOON + 63) == 1_000.0


def test_what_a_sliding_window_holds_is_free_again_a_slot_at_a_time() -> None:
    bucket = Bucket(slots={MINUTE_SLOT - 10: 5.0, MINUTE_SLOT: 5.0})

    first = free_at(bucket, limit(), NOON)

    assert first == NOON + 33
    assert used_at(bucket, limit(), first - 0.1) == 10.0
    assert used_at(bucket, limit(), first) == 5.0
    assert free_at(bucket, limit(), first) == NOON + 63
    assert free_at(bucket, limit(), NOON + 63) is None


@pytest.mark.parametrize(
    ("window", "begins"),
    [
        ("Minute", 1_795_435_200),
        ("Hour", 1_795_435_200),
        ("Day", 1_795_392_000),
        ("Month", 1_793_491_200),
    ],
)
def test_a_calendars_window_counts_what_was_used_since_it_began(window: str, begins: int) -> None:
    of = limit(window=window, alignment="Calendar")
    bucket = Bucket(slots={begins: 7.0, begins - 60: 100.0}, granted=1.0)

    assert slot_of(of, NOON + 30) == begins
    assert (used_at(bucket, of, NOON + 30), free_at(bucket, of, NOON)) == (8.0, None)


def test_of_what_is_held_only_what_is_held_counts() -> None:
    held = limit(resource="concurrentCalls", window="None")

    assert used_at(Bucket(slots={1: 100.0}, granted=4.0), held, NOON) == 4.0


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    assert used_at(Bucket(slots={MINUTE_SLOT: 5.0}), limit(), NOON - 3_600) == 5.0


def test_both_sides_name_the_fields_of_a_limit_alike() -> None:
    assert {"quota_uid", "resource", "window", "calendar", "shared"} <= set(TheirLimit.__struct_fields__)
