import pytest

from ringfence import Envelope, Problem, Retry, RingfenceError
from ringfence.errors import CallError


def error(*, retryable: bool = True, after: float | None = None) -> RingfenceError:
    problem = Problem("Unavailable", "text", retryable=retryable, retry_after_seconds=after)
    return CallError.of(Envelope("unavailable", errors=(problem,)))


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 0.05), (2, 0.1), (3, 0.2), (4, 0.4)])
def test_without_a_word_about_when_the_time_doubles(attempt: int, seconds: float) -> None:
    assert Retry(attempts=5, share=lambda: 0.5).delay(error(), attempt) == seconds


def test_what_retry_after_says_is_waited_whole() -> None:
    assert Retry(share=lambda: 0.5).delay(error(after=7.5), 1) == 7.5


def test_a_call_that_would_have_to_wait_for_too_long_fails_at_once() -> None:
    assert Retry(longest_seconds=10).delay(error(after=10.1), 1) is None


def test_the_last_attempt_is_the_last() -> None:
    assert Retry(attempts=2).delay(error(after=1), 2) is None


def test_what_may_have_been_done_is_never_done_again() -> None:
    assert Retry().delay(error(retryable=False, after=1), 1) is None
