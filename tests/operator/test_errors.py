import pytest

from ringfence_operator.errors import InvalidSpecError, OperatorError, UnavailableError


@pytest.mark.parametrize(
    ("error", "reason", "retry_after"),
    [
        (OperatorError("x"), "ReconcileError", None),
        (UnavailableError("x", retry_after=1), "ApiUnavailable", 1),
        (InvalidSpecError("x"), "InvalidSpec", None),
    ],
)
def test_class_decides_the_reason_and_the_retry(error: OperatorError, reason: str, retry_after: float | None) -> None:
    assert (error.reason, error.retry_after) == (reason, retry_after)


def test_retry_of_one_error_is_not_that_of_the_next() -> None:
    UnavailableError("x", retry_after=60)

    assert UnavailableError("x").retry_after is None
