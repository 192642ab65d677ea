import re
from pathlib import Path

import pytest

import ringfence
from ringfence_sidecar.errors import Status

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/sidecar-rest.md"
_TABLE = re.compile(r"^\| (?:\d{3}(?:, )?)+ \| `(?P<outcome>\w+)` \| (?P<codes>[^|]+) \|", re.MULTILINE)


def raised(outcome: str, code: str) -> ringfence.CallError:
    return ringfence.CallError.of(ringfence.Envelope(outcome, errors=(ringfence.Problem(code, "text"),)))


def test_every_outcome_of_the_sidecar_has_a_class() -> None:
    outcomes = [status.value for status in Status if status not in (Status.OK, Status.PARTIAL)]

    assert [raised(each, "NeverHeardOf").outcome for each in outcomes] == outcomes


def test_every_code_of_the_reference_is_an_error_of_its_outcome() -> None:
    rows = list(_TABLE.finditer(PAGE.read_text()))

    assert len(rows) == 11
    for row in rows:
        for code in re.findall(r"`(\w+)`", row["codes"]):
            assert raised(row["outcome"], code).outcome == row["outcome"], code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("LeaseLost", ringfence.LeaseLostError),
        ("ValueNotFound", ringfence.ValueNotFoundError),
        ("QuotaExceeded", ringfence.QuotaError),
        ("QuotaNotFound", ringfence.QuotaError),
        ("InvalidPayload", ringfence.InvalidPayloadError),
        ("NotConfigured", ringfence.NotConfiguredError),
    ],
)
def test_the_type_of_the_problem_decides_about_the_class(code: str, kind: type[ringfence.CallError]) -> None:
    assert type(raised(kind.outcome, code)) is kind


def test_an_error_says_whether_and_when_to_try_again() -> None:
    problem = ringfence.Problem("QuotaExceeded", "text", retryable=True, retry_after_seconds=1.5, quota="team")

    error = ringfence.CallError.of(
        ringfence.Envelope("limited", errors=(problem,), metadata=ringfence.Metadata("r-1", "t-1"))
    )

    assert (error.retryable, error.retry_after, error.problem.quota) == (True, 1.5, "team")
    assert (error.type, error.request_id, str(error)) == ("urn:ringfence:problem:QuotaExceeded", "r-1", "text")
