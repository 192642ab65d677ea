from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.conditions import (
    Condition,
    ConditionType,
    Reason,
    Status,
    find_condition,
    remove_condition,
    set_condition,
)

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
NOW = EARLIER + timedelta(hours=1)


def ready(status: bool, reason: str = Reason.RUNNING, *, now: datetime = EARLIER) -> tuple[Condition, ...]:
    return set_condition((), ConditionType.READY, status, reason, now=now)


@pytest.mark.parametrize(
    ("status", "since"), [(True, EARLIER), (False, NOW)], ids=["the same status", "another status"]
)
def test_transition_time_moves_only_with(status: bool, since: datetime) -> None:
    conditions = set_condition(ready(True), ConditionType.READY, status, "Other", "another sentence", now=NOW)

    (condition,) = conditions
    assert condition.last_transition_time == since
    assert (condition.reason, condition.message) == ("Other", "another sentence")


def test_setting_what_is_set_already_changes_nothing() -> None:
    before = set_condition((), "Ready", True, "Running", "All is well.", now=EARLIER, generation=3)

    after = set_condition(before, "Ready", True, "Running", "All is well.", now=NOW, generation=3)

    assert after == before


def test_the_conditions_given_are_left_alone_and_may_be_a_generator() -> None:
    before = ready(True)

    after = set_condition((each for each in before), ConditionType.READY, False, "Other", now=NOW)

    assert before == ready(True)
    assert [each.status for each in after] == [Status.FALSE]


@given(st.permutations([*ConditionType, "Other", "Zebra"]))
def test_order_is_always_the_same(kinds: list[str]) -> None:
    conditions: tuple[Condition, ...] = ()
    for kind in kinds:
        conditions = set_condition(conditions, kind, True, "Some", now=NOW)

    order = [each.type for each in conditions]

    assert order[:3] == ["Ready", "Reconciling", "Stalled"]
    assert order == [*ConditionType, "Other", "Zebra"]


def test_removed_condition_is_gone_and_the_others_stay() -> None:
    conditions = set_condition(ready(True), ConditionType.STALLED, True, "Some", now=NOW)

    left = remove_condition(conditions, ConditionType.STALLED)

    assert left == ready(True)
    assert find_condition(left, ConditionType.STALLED) is None


def test_condition_reads_back_as_it_was_written() -> None:
    (condition,) = set_condition(
        (), "Ready", Status.UNKNOWN, "Some", "Why.", now=NOW + timedelta(microseconds=5), generation=2
    )

    body = condition.to_body()

    assert body["lastTransitionTime"] == "2026-01-01T01:00:00Z"
    assert Condition.model_validate(body) == condition


@pytest.mark.parametrize("word", [*ConditionType, *Reason])
def test_every_word_is_one_word_and_has_its_sentence(word: ConditionType | Reason) -> None:
    assert word.isalpha()
    assert word[0].isupper()
    assert word.meaning.endswith(".")
