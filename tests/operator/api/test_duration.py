import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("2h", 7200),
        ("1h1m1s", 3661),
        ("0s", 0),
        ("0h5s", 5),
        ("99999h", 359996400),
    ],
)
def test_duration_is_read_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "1d", "30m1h", "1.5h", "-5s", "1h 5m", "5S", "1s\n", "٣s", "100000h", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s, 15m or 1h30m"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=99999 * 3600))
def test_seconds_survive_being_written_and_read(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (5400, "1h30m"), (3601, "1h1s")])
def test_duration_is_written_in_the_fewest_parts(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
