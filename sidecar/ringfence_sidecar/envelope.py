"""The envelope: what every call answers, over REST and over MCP."""

from typing import Any

import msgspec

from ringfence_sidecar.errors import CallError, LimitedError, Status


class Problem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One thing that went wrong."""

    code: str
    """Stable, in CamelCase; the reference page lists them."""
    message: str
    retryable: bool = False
    retry_after_seconds: float | None = None
    rule: str = ""
    field: str = ""
    """The argument at fault, as a path such as `arguments.sql`."""
    index: int | None = None
    """Which part of a batch."""
    quota: str = ""
    """Name of the Quota that refused; so it is with those below."""
    resource: str = ""
    limit: float | None = None
    used: float | None = None
    window: str = ""
    scope: str = ""


class Notice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Something the caller should know although the call was served."""

    code: str
    message: str
    quota: str = ""
    """Name of the Quota that has something to say."""
    resource: str = ""


class CacheInfo(msgspec.Struct, frozen=True, rename="camel"):
    """Whether the answer came from a cache, and how old it is."""

    hit: bool = False
    age_seconds: float = 0.0
    layer: str = "none"
    """`none`, `local` or `redis`."""
    stale: bool = False


class Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is known about the call besides its answer."""

    request_id: str
    trace_id: str
    connector: str = ""
    operation: str = ""
    endpoint: str = ""
    duration_ms: float = 0.0
    cache: CacheInfo | None = None
    attempts: int = 0
    backend_id: str | None = None
    """The backend's own name for what it did, such as Snowflake's query id."""
    details: dict[str, Any] | None = None
    """What only this kind of connector says, such as a page's handle."""


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a call."""

    status: Status
    data: Any
    """None, or the operation's result as `msgspec.Raw`: encoded once, and copied as it is wherever it goes."""
    message: str
    errors: tuple[Problem, ...]
    warnings: tuple[Notice, ...]
    metadata: Metadata


Parts = tuple[bytes | memoryview, ...]
"""JSON that is put together only on its way out."""
LARGE_BYTES = 262_144
"""Data that is larger is not copied to make the envelope."""
_NO_DATA = b'"data":null'
_ENCODER = msgspec.json.Encoder()
_OF_A_LIMIT = ("quota", "resource", "limit", "used", "window", "scope")


def encode(envelope: Envelope) -> bytes:
    """Return the envelope as JSON; data that is encoded already is copied in."""
    return _ENCODER.encode(envelope)


def parts_of(envelope: Envelope) -> Parts:
    """Return the same; large data is a part of its own, of which there is no copy."""
    if not isinstance(envelope.data, msgspec.Raw) or (data := memoryview(envelope.data)).nbytes < LARGE_BYTES:
        return (encode(envelope),)
    return around(envelope, data)


def around(envelope: Envelope, *data: bytes | memoryview) -> Parts:
    """Return the envelope as JSON with such data, in parts, instead of its own."""
    # Nothing that anybody has written comes before the data.
    before, _, after = encode(msgspec.structs.replace(envelope, data=None)).partition(_NO_DATA)
    return (before + b'"data":', *data, after)


def problem_of(error: CallError, *, index: int | None = None) -> Problem:
    """Return the envelope's form of an error."""
    problem = Problem(
        code=error.reason,
        message=error.message,
        retryable=error.is_retryable,
        retry_after_seconds=error.retry_after,
        rule=error.rule,
        field=error.field,
        index=index,
    )
    if not isinstance(error, LimitedError) or not error.details:
        return problem
    said = {name: error.details[name] for name in _OF_A_LIMIT if name in error.details}
    return msgspec.structs.replace(problem, **said)


def failed(error: CallError, metadata: Metadata, *, warnings: tuple[Notice, ...] = ()) -> Envelope:
    """Return the envelope of a call that was not served."""
    return Envelope(error.status, None, error.message, (problem_of(error),), warnings, metadata)
