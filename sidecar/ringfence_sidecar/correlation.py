"""What a request says about itself: who correlates it, how long it may take, whether an answer may be a kept one."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from ringfence_sidecar.asgi import Headers, HttpError
from ringfence_sidecar.call import Trace
from ringfence_sidecar.tracing import accept

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
KEY_FORM = "1 to 255 printable ASCII characters without spaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """What goes from a request into its call, and back into its answer."""

    request_id: str
    trace: Trace
    timeout_seconds: float | None = None
    no_cache: bool = False
    idempotency_key: str = ""

    @property
    def headers(self) -> Headers:
        """What the answer carries."""
        return (
            (b"x-request-id", self.request_id.encode()),
            (b"traceparent", self.trace.traceparent.encode()),
        )


def correlate(headers: Mapping[str, str], *, sampled: bool = False) -> Correlation:
    """Return what the headers of a request say. Raises HttpError (400) for those that are meant and do not fit.

    A request id of any other form is replaced: it ends in logs and in backends. An invalid traceparent begins a new
    trace, as https://www.w3.org/TR/trace-context/ says.
    """
    return Correlation(
        request_id=request_id_of(headers.get("x-request-id", "")),
        trace=accept(headers.get("traceparent"), headers.get("tracestate"), sampled=sampled),
        timeout_seconds=_timeout(headers.get("x-timeout-seconds")),
        no_cache="no-cache" in headers.get("cache-control", ""),
        idempotency_key=_key(headers.get("idempotency-key", "")),
    )


def request_id_of(text: str) -> str:
    """Return `text` if it can be a request's id, else a new one."""
    return text if _REQUEST_ID.fullmatch(text) else secrets.token_hex(16)


def is_key(text: str) -> bool:
    """Return True if `text` can be an idempotency key: of `KEY_FORM`."""
    return _IDEMPOTENCY_KEY.fullmatch(text) is not None


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or not float(text):
        raise HttpError(400, "InvalidHeader", "X-Timeout-Seconds must be a number of seconds above 0, such as 2.5")
    return float(text)


def _key(text: str) -> str:
    if text and not is_key(text):
        raise HttpError(400, "InvalidHeader", f"Idempotency-Key must be {KEY_FORM}")
    return text
