"""/healthz, /readyz and /metrics, for the kubelet and Prometheus. An answer shows that the event loop is alive."""

from collections.abc import Awaitable, Callable
from typing import Final

from ringfence_sidecar.asgi import App, HttpError, Receive, Response, Scope, Send

PATHS: Final = ("/healthz", "/readyz")
_TEXT: Final = b"text/plain; charset=utf-8"
_METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"

Missing = Callable[[], str]
"""Returns what is missing, or nothing."""


class Health:
    """The ASGI application of both probes. Ready means that calls are taken; what backends do is not asked."""

    def __init__(self, missing: Missing) -> None:
        self._missing = missing

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Serve /healthz and /readyz."""
        missing = self._missing() if scope["path"] == "/readyz" else ""
        status, text = (503, missing) if missing else (200, "ok")
        await Response(send).whole(status, f"{text}\n".encode(), kind=_TEXT)


class HealthAndMetrics:
    """The ASGI application of the pod's port: the probes and the metrics, and nothing else."""

    def __init__(self, health: Health, metrics: Callable[[], bytes]) -> None:
        self._health = health
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a GET."""
        if scope["type"] != "http":
            return
        response = Response(send)
        if scope["method"] != "GET":
            await response.whole(405, b"only GET\n", kind=_TEXT, headers=((b"allow", b"GET"),))
        elif scope["path"] == "/metrics":
            await response.whole(200, self._metrics(), kind=_METRICS)
        elif scope["path"] in PATHS:
            await self._health(scope, receive, send)
        else:
            await response.whole(404, b"there are /healthz, /readyz and /metrics\n", kind=_TEXT)


class Surfaces:
    """The ASGI application of the agent's port: both surfaces and the probes, by path."""

    def __init__(self, *, mcp: App, rest: App, health: Health, begin: Callable[[], Awaitable[None]]) -> None:
        self._mcp = mcp
        self._rest = rest
        self._health = health
        self._begin = begin
        """Waits for what calls need, for as long as a process that has just started may have them wait."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises HttpError."""
        path: str = scope["path"]
        if path == "/mcp":
            await self._begin()
            await self._mcp(scope, receive, send)
        elif path.startswith("/v1/"):
            await self._begin()
            await self._rest(scope, receive, send)
        elif path in PATHS:
            await self._health(scope, receive, send)
        else:
            raise HttpError(404, "NotFound", "there are /mcp, /v1, /healthz and /readyz")
