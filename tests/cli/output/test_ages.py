from datetime import UTC, datetime

import pytest

from ringfence_cli.output.ages import age, duration


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.9, "59s"),
        (61, "1m1s"),
        (600, "10m"),
        (3_600, "1h"),
        (11_520, "3h12m"),
        (172_800, "2d"),
    ],
)
def test_a_duration_has_its_largest_unit_and_the_next_where_that_is_small(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_the_age_of_nothing_is_empty() -> None:
    now = datetime(2026, 11, 29, 12, 1, tzinfo=UTC)

    assert age("2026-11-29T12:00:00Z", now) == "1m"
    assert age(None, now) == ""
