from datetime import UTC, datetime

from ringfence_gateway.meter.history import GRAINS, History


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_bytes_are_counted_in_the_slot_of_each_window() -> None:
    history = History()

    history.add(5, now=at("2026-11-28T12:00:00"))
    history.add(7, now=at("2026-11-28T12:00:02.9"))
    history.add(1, now=at("2026-11-28T12:00:03"))

    assert list(history.slots["Minute"].values()) == [12, 1]
    assert list(history.slots["Hour"].values()) == [13]
    assert history.slots["Month/Calendar"] == {2026 * 12 + 10: 13}


def test_a_month_of_the_calendar_begins_on_its_first() -> None:
    history = History()

    history.add(5, now=at("2026-11-30T23:59:59"))
    history.add(7, now=at("2026-12-01T00:00:00"))

    assert history.slots["Month/Calendar"] == {2026 * 12 + 11: 7}


def test_what_no_window_holds_any_more_is_forgotten() -> None:
    history = History()

    for second in range(0, 86_400 * 60, 3_600):
        history.add(1, now=float(second))

    assert {window: len(slots) for window, slots in history.slots.items() if len(slots) > GRAINS[window].kept} == {}


def test_changes_are_told_once_and_all_of_it_when_asked() -> None:
    history = History()
    history.add(5, now=0.0)

    changed = history.take(is_whole=False)
    history.add(2, now=3.0)

    assert changed["Minute"] == {0: 5}
    assert history.take(is_whole=False)["Minute"] == {1: 2}
    assert history.take(is_whole=False) == {}
    assert history.take(is_whole=True)["Minute"] == {0: 5, 1: 2}
