"""Anything as an envelope, so that what an agent makes itself looks like what its sidecar answers."""

from collections.abc import Mapping
from typing import Any

from ringfence.envelope import Envelope, Metadata, Problem
from ringfence.errors import CallError, NotPublishedError, RingfenceError, UnreachableError
from ringfence.trace import current


def normalize(value: Any, *, message: str = "") -> Envelope:
    """Return an envelope of the value.

    Envelopes and problem documents, as objects or as JSON has them, stay what they say; a CallError becomes what the
    sidecar said; any other exception `internal`, with its type and none of its text, which may hold what is nobody's
    business. Everything else is the `data` of an envelope that is `ok`.
    """
    if isinstance(value, Envelope):
        return value
    if isinstance(value, CallError):
        return value.envelope
    if isinstance(value, BaseException):
        return _of_exception(value, message)
    if isinstance(value, Mapping) and {"message", "errors", "warnings", "metadata"} <= value.keys():
        try:
            return Envelope.from_json(value)
        except ValueError:
            pass  # a value that has such names by chance
    return Envelope("ok", value, message, metadata=_metadata())


def _of_exception(error: BaseException, message: str) -> Envelope:
    status, code, text = "internal", "Internal", type(error).__name__
    if isinstance(error, UnreachableError):
        status, code, text = "unavailable", "Unavailable", error.message
    elif isinstance(error, NotPublishedError):
        status, code, text = "failed", "BackendRefused", error.message
    problem = Problem(code, message or text, retryable=isinstance(error, RingfenceError) and error.retryable)
    return Envelope(status, None, problem.message, (problem,), metadata=_metadata())


def _metadata() -> Metadata:
    span = current()
    return Metadata(trace_id=span.trace_id if span else "")
