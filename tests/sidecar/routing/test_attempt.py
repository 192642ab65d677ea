import asyncio

import msgspec
import pytest

from ringfence_sidecar.connectors.base import Effect, Operation, Prepared
from ringfence_sidecar.errors import BackendError, BackendLostError, DeadlineError, RefusedError
from ringfence_sidecar.routing.attempt import judged, work_of
from ringfence_sidecar.routing.breaker import Verdict


def prepared(summary: str, *, waits: bool = False) -> Prepared:
    operation = Operation(
        name="publish",
        title="",
        description="",
        effect=Effect.WRITE,
        arguments=msgspec.Struct,
        result=msgspec.Struct,
        waits=waits,
    )
    return Prepared(operation=operation, effect=Effect.WRITE, payload=None, rule="r", summary=summary)


def test_questions_of_one_form_are_compared_whatever_their_numbers() -> None:
    first = work_of(prepared("publish 3 messages, 1200 bytes, to orders"))
    second = work_of(prepared("publish 12 messages, 9 bytes, to orders"))
    other = work_of(prepared("publish 12 messages, 9 bytes, to invoices"))

    assert first == second != other


def test_what_waits_is_compared_with_nothing() -> None:
    assert work_of(prepared("receive up to 3 messages", waits=True)) == ""


@pytest.mark.parametrize(
    ("error", "verdict", "is_in_doubt"),
    [
        (None, Verdict.SERVED, False),
        (BackendLostError("gone"), Verdict.LOST, True),
        (BackendError("no such table"), Verdict.REFUSED, False),
        (RefusedError("no"), Verdict.REFUSED, False),
        (DeadlineError("late"), Verdict.ABANDONED, True),
        (asyncio.CancelledError(), Verdict.ABANDONED, True),
        (GeneratorExit(), Verdict.ABANDONED, True),
        (ConnectionResetError(), Verdict.LOST, True),
        (RuntimeError(), Verdict.ABANDONED, True),
    ],
)
def test_how_an_attempt_ends_says_whether_the_endpoint_lives_and_whether_its_session_is_good(
    error: BaseException | None, verdict: Verdict, is_in_doubt: bool
) -> None:
    assert judged(error) == (verdict, is_in_doubt)
