"""JSON-RPC as MCP uses it: messages, error codes, revisions.

Source: https://modelcontextprotocol.io/specification, revisions 2025-03-26 to 2026-07-28.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from ringfence_sidecar.envelope import Parts

HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Revisions that begin with `initialize`, the preferred one first."""
STATELESS: Final = ("2026-07-28",)
"""Revisions in which each request says all about itself."""
BATCHING: Final = "2025-03-26"
"""The only revision with several messages in one body."""
UNSTRUCTURED: Final = frozenset({BATCHING})
"""Revisions without structured content."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
CANCELLED: Final = -32000
RESOURCE_NOT_FOUND: Final = -32002
"""Until 2025-11-25; INVALID_PARAMS since."""
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

HTTP: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
}
"""HTTP statuses of errors, in the stateless revisions."""

STRUCTURED: Final = "structuredContent"
_UNSTRUCTURED = b'"structuredContent":null'
PREFIX: Final = "io.modelcontextprotocol/"
Id = int | str


class ProtocolError(Exception):
    """A request that the protocol has no result for."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Incoming(msgspec.Struct, frozen=True):
    """A message from a client: a request, a notification, or a response."""

    jsonrpc: Literal["2.0"]
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Result(msgspec.Struct, frozen=True):
    jsonrpc: str
    id: Id
    result: Any


class _Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    code: int
    message: str
    data: Any = None


class _Error(msgspec.Struct, frozen=True):
    jsonrpc: str
    id: Id | None
    error: _Fault


class _Notification(msgspec.Struct, frozen=True):
    jsonrpc: str
    method: str
    params: dict[str, Any]


_ONE = msgspec.json.Decoder(Incoming)
_MANY = msgspec.json.Decoder(list[Incoming])
_ENCODER = msgspec.json.Encoder()


def decode(body: bytes) -> Incoming | list[Incoming]:
    """Return the message, or the messages of a batch. Raises ProtocolError."""
    try:
        return _MANY.decode(body) if body.lstrip()[:1] == b"[" else _ONE.decode(body)
    except msgspec.ValidationError as error:
        raise ProtocolError(INVALID_REQUEST, f"the body is no JSON-RPC 2.0 message: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError(PARSE_ERROR, "the body is no JSON") from None


def encode_result(request: Id, result: Mapping[str, Any]) -> Parts:
    """Return the response to a request that was served. Structured content may be in parts, and stays so."""
    structured = result.get(STRUCTURED)
    if not isinstance(structured, tuple):
        return (_ENCODER.encode(_Result("2.0", request, result)),)
    # In a string, quotes would be escaped.
    before, _, after = _ENCODER.encode(_Result("2.0", request, {**result, STRUCTURED: None})).partition(_UNSTRUCTURED)
    return (before + _UNSTRUCTURED.removesuffix(b"null"), *structured, after)


def encode_error(request: Id | None, error: ProtocolError) -> bytes:
    """Return the response to a request that was not served."""
    return _ENCODER.encode(_Error("2.0", request, _Fault(error.code, error.message, error.data)))


def encode_notification(method: str, params: dict[str, Any]) -> bytes:
    """Return a notification."""
    return _ENCODER.encode(_Notification("2.0", method, params))
