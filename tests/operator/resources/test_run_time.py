from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.quota import Alignment
from ringfence_operator.api.quota_matrix import Window
from ringfence_operator.resources.run_time import SLOTS, Frame, Slots, add, counted, free_at, total

HOUR = Frame(Window.HOUR, Alignment.SLIDING)
BEGINNING = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
FRAMES = [Frame(window, alignment) for window in (Window.HOUR, Window.DAY, Window.MONTH) for alignment in Alignment]


def at(text: str) -> float:
    return datetime.fromisoformat(text + "Z").timestamp()


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
@given(length=st.integers(1, 40 * 86_400), pods=st.integers(1, 5))
def test_no_second_that_counts_is_lost_between_slots(frame: Frame, length: int, pods: int) -> None:
    slots: Slots = {}
    start, end = BEGINNING + 0.5, BEGINNING + 0.5 + length

    add(slots, frame, start, end, pods=pods)

    counts = end - max(start, frame.reaches_back(end))
    assert total(slots, frame, end) == pytest.approx(counts * pods)


def test_a_run_of_years_costs_no_more_than_its_window() -> None:
    slots: Slots = {}

    add(slots, HOUR, 0, BEGINNING)

    assert len(slots) == SLOTS


@given(start=st.integers(0, 7200), length=st.integers(1, 7200))
def test_a_sliding_window_never_counts_less_than_what_ran_within_its_length(start: int, length: int) -> None:
    slots: Slots = {}
    now = BEGINNING + 7200

    add(slots, HOUR, now - start - length, now - start)

    within = max(0.0, min(now - start, now) - max(now - start - length, now - 3600))
    assert total(slots, HOUR, now) >= within


def test_what_ran_drops_out_of_a_sliding_window_in_time() -> None:
    slots: Slots = {}
    add(slots, HOUR, BEGINNING, BEGINNING + 180)

    found = [total(slots, HOUR, BEGINNING + seconds) for seconds in (3600, 3600 + 179, 3600 + 180)]

    assert found == [180, 180, 0]


@pytest.mark.parametrize(
    ("window", "moment", "begins", "ends"),
    [
        (Window.HOUR, "2026-11-23T12:34:56", "2026-11-23T12:00:00", "2026-11-23T13:00:00"),
        (Window.DAY, "2026-11-23T12:34:56", "2026-11-23T00:00:00", "2026-11-24T00:00:00"),
        (Window.MONTH, "2026-11-23T12:34:56", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        (Window.MONTH, "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        (Window.MONTH, "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_a_calendar_window_begins_and_ends_with_the_calendars(
    window: Window, moment: str, begins: str, ends: str
) -> None:
    frame = Frame(window, Alignment.CALENDAR)

    slot = frame.slot(at(moment))

    assert (slot, frame.end(slot)) == (at(begins), at(ends))
    assert frame.is_counted(slot, at(ends) - 1)
    assert not frame.is_counted(slot, at(ends))


def test_only_slots_that_count_are_kept() -> None:
    slots = {HOUR.slot(BEGINNING - 7200): 10.0, HOUR.slot(BEGINNING): 5.0}

    assert counted(slots, HOUR, BEGINNING) == {HOUR.slot(BEGINNING): 5.0}


def test_something_is_free_when_enough_of_the_oldest_has_dropped_out() -> None:
    slots: Slots = {}
    add(slots, HOUR, BEGINNING, BEGINNING + 360)

    found = [free_at(slots, HOUR, BEGINNING + 360, most) - BEGINNING for most in (400, 360, 200, 180, 1)]

    assert found == [360, 3600 + 180, 3600 + 180, 3600 + 360, 3600 + 360]


def test_a_calendar_window_is_free_when_the_next_one_begins() -> None:
    frame = Frame(Window.DAY, Alignment.CALENDAR)
    slots: Slots = {}
    add(slots, frame, BEGINNING, BEGINNING + 100)

    assert free_at(slots, frame, BEGINNING + 100, 50) == at("2026-11-24T00:00:00")
