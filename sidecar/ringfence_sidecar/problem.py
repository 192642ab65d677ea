"""Refusals as RFC 9457 problem documents, which carry the envelope's members besides."""

import math
from typing import Any, Final

import msgspec

from ringfence_sidecar.asgi import Headers, HttpError, Response
from ringfence_sidecar.correlation import Correlation
from ringfence_sidecar.envelope import Envelope, Metadata, Notice, Problem, parts_of
from ringfence_sidecar.errors import Status

KIND: Final = b"application/problem+json"
HTTP: Final = {
    Status.OK: 200,
    Status.PARTIAL: 200,
    Status.INVALID: 400,
    Status.REFUSED: 403,
    Status.NOT_FOUND: 404,
    Status.CONFLICT: 409,
    Status.LIMITED: 429,
    Status.TIMEOUT: 504,
    Status.CANCELLED: 499,
    Status.UNAVAILABLE: 503,
    Status.FAILED: 502,
    Status.INTERNAL: 500,
}
_UNPROCESSABLE = 422
_STATUS = {http: status for status, http in reversed(HTTP.items())}
_ENCODER = msgspec.json.Encoder()


class Document(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Why a request was not served: RFC 9457, and the envelope's members.

    `status` is HTTP's, so the envelope's is `outcome`.
    """

    type: str
    """`urn:ringfence:problem:` and the code."""
    title: str
    """The code, in words."""
    status: int
    detail: str
    instance: str
    """`urn:ringfence:request:` and the request's id."""
    code: str
    retryable: bool
    retry_after_seconds: float | msgspec.UnsetType = msgspec.UNSET
    quota: str | msgspec.UnsetType = msgspec.UNSET
    """Name of the Quota that refused; so it is with those below."""
    resource: str | msgspec.UnsetType = msgspec.UNSET
    limit: float | msgspec.UnsetType = msgspec.UNSET
    used: float | msgspec.UnsetType = msgspec.UNSET
    window: str | msgspec.UnsetType = msgspec.UNSET
    """`None` for what is held at once."""
    scope: str | msgspec.UnsetType = msgspec.UNSET
    outcome: Status
    data: Any = None
    message: str
    """The same as `detail`."""
    errors: tuple[Problem, ...]
    warnings: tuple[Notice, ...] = ()
    metadata: Metadata


def http_status(envelope: Envelope) -> int:
    """Return the HTTP status of an answer."""
    if envelope.status is Status.INVALID and any(error.code == "InvalidPayload" for error in envelope.errors):
        return _UNPROCESSABLE
    return HTTP[envelope.status]


def document(envelope: Envelope, *, status: int | None = None) -> Document:
    """Return the problem document of an envelope that was not served."""
    first = envelope.errors[0] if envelope.errors else Problem("Internal", envelope.message)
    return Document(
        type=f"urn:ringfence:problem:{first.code}",
        title=_words(first.code),
        status=status or http_status(envelope),
        detail=envelope.message or first.message,
        instance=f"urn:ringfence:request:{envelope.metadata.request_id}",
        code=first.code,
        retryable=first.retryable,
        retry_after_seconds=msgspec.UNSET if first.retry_after_seconds is None else first.retry_after_seconds,
        quota=first.quota or msgspec.UNSET,
        resource=first.resource or msgspec.UNSET,
        limit=msgspec.UNSET if first.limit is None else first.limit,
        used=msgspec.UNSET if first.used is None else first.used,
        window=first.window or msgspec.UNSET,
        scope=first.scope or msgspec.UNSET,
        outcome=envelope.status,
        data=envelope.data,
        message=envelope.message or first.message,
        errors=envelope.errors,
        warnings=envelope.warnings,
        metadata=envelope.metadata,
    )


async def answer(response: Response, envelope: Envelope) -> None:
    """Answer with the envelope if the call was served, else with its problem document."""
    if envelope.status in (Status.OK, Status.PARTIAL):
        await response.whole(200, *parts_of(envelope))
    else:
        await refuse(response, document(envelope))


async def refuse(response: Response, found: Document, headers: Headers = ()) -> None:
    """Answer with a problem document; Retry-After is in whole seconds, rounded up."""
    fields = list(headers)
    if isinstance(found.retry_after_seconds, int | float):
        fields.append((b"retry-after", str(math.ceil(found.retry_after_seconds)).encode()))
    await response.whole(found.status, _ENCODER.encode(found), kind=KIND, headers=fields)


def of_error(error: HttpError, correlation: Correlation) -> Document:
    """Return the problem document of a request that never was a call."""
    metadata = Metadata(correlation.request_id, correlation.trace.trace_id)
    status = _STATUS.get(error.status, Status.INVALID)
    refused = Envelope(status, None, error.message, (Problem(error.code, error.message),), (), metadata)
    return document(refused, status=error.status)


def _words(code: str) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in code).strip()
    return words[:1].upper() + words[1:]
