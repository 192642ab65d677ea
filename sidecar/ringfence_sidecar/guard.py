"""What stands before both surfaces: a page in an agent's browser can post to loopback, so loopback is no door lock."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from ringfence_sidecar.asgi import (
    App,
    ClientGoneError,
    Headers,
    HttpError,
    Message,
    Receive,
    Response,
    Scope,
    Send,
    headers_of,
    too_large,
)
from ringfence_sidecar.correlation import Correlation, correlate
from ringfence_sidecar.problem import of_error, refuse

LONGEST_HEAD: Final = 16_384
_OWN = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_FIXED: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_log = structlog.get_logger()


class Guard:
    """Refuses foreign Hosts and Origins, other media types than JSON, and what is too large; says what went wrong."""

    def __init__(self, app: App, *, max_body_bytes: int, more: Callable[[], Headers] = tuple) -> None:
        self._app = app
        self._more = more
        """Headers of every answer besides, as they are when it begins."""
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], *_FIXED, *self._more()]
            await send(message)

        try:
            _bound(scope)
            headers = scope["ringfence.headers"] = headers_of(scope)
            judge(scope["method"], headers, self._max_body_bytes)
            await self._app(scope, receive, noted)
        except ClientGoneError:
            return
        except HttpError as error:
            await _say(error, scope, noted, begun=begun)
        except Exception as error:  # noqa: BLE001 - the last place where one request's failure is only its own
            _log.exception("request.failed", path=scope["path"], error=type(error).__name__)
            failure = HttpError(500, "Internal", "something went wrong here; the sidecar's log says more")
            await _say(failure, scope, noted, begun=begun)


def judge(method: str, headers: Mapping[str, str], max_body_bytes: int) -> None:
    """Raise HttpError for a request that must not be served: 400, 403, 413, 415 or 431."""
    host = headers.get("host", "")
    if not _OWN.fullmatch(host):
        raise HttpError(403, "ForeignHost", "Host must be 127.0.0.1, localhost or [::1]")
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        raise HttpError(403, "ForeignOrigin", "Origin must be this server's own, or not be sent")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise HttpError(403, "ForeignOrigin", "pages of other sites may not ask")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise HttpError(400, "InvalidHeader", "Content-Length must be a number")
    if int(length) > max_body_bytes:
        raise too_large(max_body_bytes)
    has_body = int(length) > 0 or "transfer-encoding" in headers
    if (method not in _WITHOUT_BODY or has_body) and not _is_json(headers.get("content-type", "")):
        raise HttpError(415, "JsonRequired", "send the body as Content-Type: application/json")


def _bound(scope: Scope) -> None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEAD:
        raise HttpError(431, "HeadersTooLarge", f"the headers are longer than {LONGEST_HEAD} bytes")


def _is_json(kind: str) -> bool:
    name, _, parameters = kind.partition(";")
    return name.strip().lower() == "application/json" and parameters.strip().lower() in ("", "charset=utf-8")


async def _say(error: HttpError, scope: Scope, send: Send, *, begun: bool) -> None:
    if begun:
        return  # half an answer is out: closing the connection is all that is left
    correlation = _correlation(scope)
    fields = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    await refuse(Response(send, correlation.headers), of_error(error, correlation), fields)


def _correlation(scope: Scope) -> Correlation:
    wanted = (b"x-request-id", b"traceparent", b"tracestate")
    return correlate({name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted})
