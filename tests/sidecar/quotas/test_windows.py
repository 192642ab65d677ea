from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_sidecar.quotas.windows import MILLISECONDS, Shape, Slots

DAY = 86_400_000


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5)), min_size=1, max_size=200),
    st.sampled_from(["Second", "Minute"]),
)
def test_no_span_as_long_as_the_window_holds_more_than_the_limit(steps: list[tuple[int, int]], window: str) -> None:
    slots, length, most = Slots(Shape(window)), MILLISECONDS[window], 10
    now, granted = at(2026, 11, 28), []
    for step, amount in steps:
        now += step * length // 1000
        if slots.used(now) + amount <= most:
            slots.add(now, amount)
            granted.append((now, amount))

    for end, _ in granted:
        assert sum(amount for when, amount in granted if end - length < when <= end) <= most


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), min_size=1, max_size=60), st.integers(1, 10))
def test_what_waits_as_long_as_it_was_told_finds_enough(steps: list[tuple[int, int]], need: int) -> None:
    slots, now = Slots(Shape("Second")), at(2026, 11, 28)
    for step, amount in steps:
        now += step
        slots.add(now, amount)
    before, copied = slots.used(now), _copy(slots, now)

    wait = slots.wait(now, need)

    if wait is None:
        assert need > before
    else:
        later = now + round(wait * 1000)
        assert slots.used(later) <= before - need
        assert wait == 0 or copied.used(later - 1) > before - need


def _copy(slots: Slots, now: int) -> Slots:
    copied = Slots(slots.shape)
    for slot, amount in reversed(slots.present(now)):
        copied.add(slot * 50, amount)
    return copied


@pytest.mark.parametrize(
    ("window", "moment", "begins", "ends"),
    [
        ("Second", at(2026, 11, 28, 10, 5, 7) + 999, at(2026, 11, 28, 10, 5, 7), at(2026, 11, 28, 10, 5, 8)),
        ("Minute", at(2026, 11, 28, 10, 5, 7), at(2026, 11, 28, 10, 5), at(2026, 11, 28, 10, 6)),
        ("Hour", at(2026, 11, 28, 10, 5), at(2026, 11, 28, 10), at(2026, 11, 28, 11)),
        ("Day", at(2026, 11, 28, 23, 59), at(2026, 11, 28), at(2026, 11, 29)),
        ("Month", at(2026, 12, 31, 23, 59), at(2026, 12, 1), at(2027, 1, 1)),
        ("Month", at(2028, 2, 29, 12), at(2028, 2, 1), at(2028, 3, 1)),
    ],
)
def test_a_calendar_window_begins_and_ends_with_the_calendar(window: str, moment: int, begins: int, ends: int) -> None:
    shape = Shape(window, calendar=True)

    slot = shape.slot(moment)

    assert (slot * 1000, shape.free_at(slot)) == (begins, ends)
    assert shape.slot(ends) != slot


def test_time_that_goes_back_frees_nothing() -> None:
    slots, now = Slots(Shape("Second")), at(2026, 11, 28)
    slots.add(now, 5)

    slots.add(now - DAY, 2)

    assert slots.used(now - DAY) == slots.used(now) == 7
    assert slots.used(now + 1_050) == 0


@pytest.mark.parametrize(
    ("window", "calendar", "code"),
    [
        ("None", False, "H"),
        ("Second", False, "S50"),
        ("Month", False, "S129600000"),
        ("Day", True, "C86400000"),
        ("Month", True, "M"),
    ],
)
def test_scripts_are_told_the_shape(window: str, calendar: bool, code: str) -> None:
    assert Shape(window, calendar).code == code
