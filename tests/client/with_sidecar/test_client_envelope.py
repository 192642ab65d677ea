import msgspec
import pytest

import ringfence
from ringfence_sidecar import envelope as theirs
from ringfence_sidecar.errors import LimitedError, Status
from ringfence_sidecar.problem import document

FULL = theirs.Envelope(
    Status.PARTIAL,
    {"rows": [[1]]},
    "cut",
    (theirs.Problem("QuotaExceeded", "no more", True, 1.5, "r", "f", 0, "q", "rows", 10.0, 9.0, "Hour", "Shared"),),
    (theirs.Notice("QuotaCut", "less", "q", "rows"),),
    theirs.Metadata(
        "r-1", "t-1", "sales", "query", "main", 12.5, theirs.CacheInfo(True, 1.0, "redis", True), 2, "b", {"page": {}}
    ),
)


def test_an_envelope_is_the_same_after_it_was_read_and_written() -> None:
    said = msgspec.json.decode(theirs.encode(FULL))

    assert ringfence.Envelope.from_json(said).as_json() == said


def test_every_member_of_the_sidecars_envelope_is_known_here() -> None:
    for mine, other in (
        (ringfence.Envelope, theirs.Envelope),
        (ringfence.Problem, theirs.Problem),
        (ringfence.Notice, theirs.Notice),
        (ringfence.CacheInfo, theirs.CacheInfo),
        (ringfence.Metadata, theirs.Metadata),
    ):
        assert tuple(mine.__dataclass_fields__) == other.__struct_fields__


def test_a_problem_document_is_read_as_the_envelope_that_it_stands_for() -> None:
    refused = theirs.failed(LimitedError("no more", retry_after=1.5), theirs.Metadata("r-1", "t-1"))

    read = ringfence.Envelope.from_json(msgspec.json.decode(msgspec.json.encode(document(refused))))

    assert (read.status, read.message, read.errors[0].code) == ("limited", "no more", "QuotaExceeded")


def test_members_of_a_newer_sidecar_are_passed_over() -> None:
    said = msgspec.json.decode(theirs.encode(FULL))

    read = ringfence.Envelope.from_json({**said, "new": 1, "metadata": {**said["metadata"], "newer": 2}})

    assert read.as_json() == said


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"status": 200, "metadata": {}},
        {"status": "ok"},
        {"status": "ok", "metadata": 1},
        {"status": "ok", "metadata": {}, "errors": 1},
        {"status": "ok", "metadata": {}, "errors": [{}]},
    ],
)
def test_what_is_no_envelope_is_refused(found: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="neither an envelope"):
        ringfence.Envelope.from_json(found)


def test_a_value_becomes_the_data_of_an_envelope_that_carries_the_trace() -> None:
    with ringfence.Span("work", {}, log=lambda _: None) as span:
        made = ringfence.normalize({"metadata": "mine"}, message="done")

    assert (made.status, made.data, made.message) == ("ok", {"metadata": "mine"}, "done")
    assert made.metadata.trace_id == span.trace_id


def test_an_envelope_stays_what_it_is_as_object_and_as_json() -> None:
    made = ringfence.normalize(msgspec.json.decode(theirs.encode(FULL)))

    assert made.status == "partial"
    assert ringfence.normalize(made) is made


def test_a_call_that_was_not_served_becomes_what_the_sidecar_said() -> None:
    refused = ringfence.Envelope("refused", errors=(ringfence.Problem("NotPermitted", "no"),))

    assert ringfence.normalize(ringfence.CallError.of(refused)) is refused


def test_an_exception_tells_its_type_and_not_its_text() -> None:
    made = ringfence.normalize(ValueError("password: hunter2"))

    assert (made.status, made.message, made.errors[0].code) == ("internal", "ValueError", "Internal")


def test_a_sidecar_that_is_away_is_unavailable_and_may_be_asked_again() -> None:
    made = ringfence.normalize(ringfence.UnreachableError("nothing answers", retryable=True))

    assert (made.status, made.errors[0].retryable) == ("unavailable", True)


def test_a_message_that_no_queue_took_is_a_refusal_of_the_broker() -> None:
    made = ringfence.normalize(ringfence.NotPublishedError("returned", outcome="returned"))

    assert (made.status, made.errors[0].code, made.message) == ("failed", "BackendRefused", "returned")
