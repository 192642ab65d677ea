"""The HTTP server for probes and metrics. That it answers shows that the event loop is alive."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

STUCK_SECONDS = 400.0
"""Longer than the longest watch: after that an informer has neither heard anything nor tried anything."""


class Cache(Protocol):
    """What probes want to know of an informer."""

    @property
    def name(self) -> str:
        """What it is a cache of."""

    @property
    def synced(self) -> asyncio.Event:
        """Set once it holds all objects."""

    @property
    def stalled_seconds(self) -> float:
        """How long ago it last heard from the server or failed to."""


class HealthServer:
    """Serves /healthz, /readyz and /metrics. An API server that is away makes neither probe fail."""

    def __init__(self, registry: CollectorRegistry, caches: Sequence[Cache]) -> None:
        self._registry = registry
        self._caches = caches
        self._runner: web.AppRunner | None = None

    async def start(self, *, host: str | None = None, port: int = 8080) -> int:
        """Listen on `port` of `host` (None: all addresses, IPv4 and IPv6), or on a free one if it is 0; return it."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def stuck(self) -> list[str]:
        """Return the names of caches that have stopped following the API server."""
        return [cache.name for cache in self._caches if cache.stalled_seconds > STUCK_SECONDS]

    def unsynced(self) -> list[str]:
        """Return the names of caches that do not hold all objects yet."""
        return [cache.name for cache in self._caches if not cache.synced.is_set()]

    async def _healthz(self, _: web.Request) -> web.Response:
        return _verdict(self.stuck(), "stuck")

    async def _readyz(self, _: web.Request) -> web.Response:
        return _verdict(self.unsynced(), "not synced")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _verdict(faulty: list[str], what: str) -> web.Response:
    if not faulty:
        return web.Response(text="ok\n")
    return web.Response(status=503, text=f"{what}: {', '.join(faulty)}\n")
