"""What the API server's error answers mean."""

from collections.abc import Mapping

import orjson

from ringfence_operator.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)

_BY_CODE: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: InvalidError,
    429: ThrottledError,
}
_MAX_MESSAGE = 1024


def error_for(code: int, body: bytes, headers: Mapping[str, str]) -> KubeError:
    """Return the error for an answer with an error `code`, with the message of the Status in its body."""
    message, reason = _status_of(body)
    kind = _BY_CODE.get(code, UnavailableError if code >= 500 else KubeError)  # noqa: PLR2004
    if kind is ConflictError and reason == "AlreadyExists":
        kind = AlreadyExistsError
    return kind(message or f"HTTP {code}", retry_after=_retry_after(headers))


def _status_of(body: bytes) -> tuple[str, str]:
    """Return message and reason; proxies in between answer with text of their own."""
    try:
        status = orjson.loads(body)
        return str(status["message"])[:_MAX_MESSAGE], str(status.get("reason", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body[:_MAX_MESSAGE].decode(errors="replace").strip(), ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3; Kubernetes sends seconds, never a date)."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
