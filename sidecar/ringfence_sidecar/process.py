"""The wiring: settings → source of configuration → pipeline → surfaces → servers."""

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import structlog

from ringfence_sidecar import __version__
from ringfence_sidecar.audit.given import Given
from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.setup import from_env as exporters_from_env
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.cache_metrics import CacheMetrics
from ringfence_sidecar.configuration import Configuration
from ringfence_sidecar.elsewhere import Elsewhere
from ringfence_sidecar.guard import Guard
from ringfence_sidecar.health import Health, HealthAndMetrics, Surfaces
from ringfence_sidecar.inside import Look
from ringfence_sidecar.kept import Kept
from ringfence_sidecar.limiter import Limiter
from ringfence_sidecar.mcp.endpoint import Endpoint
from ringfence_sidecar.mcp.surface import Surface
from ringfence_sidecar.metrics import Metrics
from ringfence_sidecar.payloads import Payloads
from ringfence_sidecar.pipeline import Pipeline
from ringfence_sidecar.rate_limits import fields_of
from ringfence_sidecar.rest.app import Rest
from ringfence_sidecar.service import Service
from ringfence_sidecar.serving import Server, listen, server_of
from ringfence_sidecar.settings import Settings
from ringfence_sidecar.source import FileSource, Source
from ringfence_sidecar.tracing import Tracer, to_collector

LOOPBACK: Final = "127.0.0.1"
OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_HEALTH_CONNECTIONS = 32

_log = structlog.get_logger()


class Sidecar:
    """All that a process holds."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self.serving: tuple[Server, ...] = ()
        # In a warm pod nobody calls before an agent has it: the time counts from the first call.
        self._started: float | None = None if settings.warm else time.monotonic()
        self._is_let_in: Callable[[], bool] = lambda: False
        self._configured = asyncio.Event()
        self._limiter = Limiter()
        self.elsewhere = Elsewhere()
        metrics = Metrics()
        self._kept = Kept(Room(self._limiter, tell=metrics.quotas.tell))
        self._payloads = Payloads()
        self._given = Given()
        self.audit = Trail(exporters_from_env(environ, self._given), Who(pod=settings.pod))
        self._tracer = _tracer(environ, settings)
        self.pipeline = Pipeline(
            cache=self._kept,
            audit=self.audit,
            pod=settings.pod,
            quota=self._limiter,
            tracer=self._tracer,
            metrics=metrics,
        )
        self.pipeline.metrics.registry.register(CacheMetrics(self._kept))
        self.look = Look(canary=settings.canary, way_out=settings.way_out)
        self.source = self._source()
        self.service = Service(
            self.pipeline,
            Builtin(lambda: self._kept.values, self._payloads, self.pipeline.bound),
            self._payloads,
            is_configured=self._configured.is_set,
            quota=self._limiter,
            elsewhere=self.elsewhere,
        )
        self._surface = Surface(self.service, sampled=self._tracer.is_exporting)
        self._health = Health(self.missing)

    def servers(self) -> tuple[Server, Server]:
        """Return the agent's server, and that of health and metrics."""
        settings = self._settings
        most = settings.max_body_bytes
        app = Surfaces(
            mcp=Endpoint(self._surface.server, max_body_bytes=most),
            rest=Rest(self.service, max_body_bytes=most, sampled=self._tracer.is_exporting),
            health=self._health,
            begin=self._begin,
        )
        return (
            server_of(
                Guard(app, max_body_bytes=most, more=fields_of(self._limiter)),
                most_connections=settings.max_connections,
                stop_seconds=settings.stop_seconds,
            ),
            server_of(
                HealthAndMetrics(self._health, self._metrics), most_connections=_HEALTH_CONNECTIONS, stop_seconds=1
            ),
        )

    def stop_listeners(self) -> None:
        """End what only listens for changes, so that it does not hold up the end."""
        self._surface.server.close()

    def missing(self) -> str:
        """Return why calls are refused, or nothing."""
        is_waiting = self._settings.warm and self._is_let_in()
        return "" if self._configured.is_set() or is_waiting else "no configuration from the operator yet"

    async def apply(self, configuration: Configuration) -> None:
        """Put a configuration in force, and tell clients what tools there are now."""
        agent = configuration.agent
        self._given.apply(configuration)
        self._tracer.apply(
            configuration.collector_token, {"k8s.namespace.name": agent.namespace, "ringfence.agent": agent.name}
        )
        await self._limiter.apply(configuration)
        self.elsewhere.apply(configuration.others)
        await self._kept.apply(configuration)
        await self.pipeline.apply(configuration)
        self._surface.refresh()
        self._configured.set()
        _log.info("configuration.applied", version=configuration.version, connectors=len(configuration.connectors))

    async def _begin(self) -> None:
        if self._configured.is_set():
            return
        if self._started is None:
            self._started = time.monotonic()
        left = self._started + self._settings.start_seconds - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._configured.wait(), max(0.0, left))

    async def close(self) -> None:
        """Let go of everything; the audit's last line is written last."""
        await self.pipeline.close()
        await self._kept.close()
        await self._limiter.close()
        await self.audit.close()
        await asyncio.to_thread(self._tracer.close)

    def _source(self) -> Source:
        settings = self._settings
        if settings.configuration_file is not None:
            return FileSource(settings.configuration_file, self.apply)
        from ringfence_sidecar.control import ControlClient  # noqa: PLC0415 - ssl, which a file needs not

        client = ControlClient(
            settings.control,
            token=settings.token_file,
            authority=settings.authority_file,
            on_change=self.apply,
            health=self.pipeline.health,
            cache_reachable=lambda: self._kept.is_reachable,
            cache_evicts=lambda: self._kept.evicts,
            inside=lambda: self.look.finding,
            uses=self._limiter.uses,
            sidecar_version=__version__,
            warm=settings.warm,
        )
        self._is_let_in = lambda: client.was_answered
        self.look.on_change = client.hurry
        self.elsewhere.ask = client.standing
        return client

    def _metrics(self) -> bytes:
        from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - for those who scrape

        return generate_latest(self.pipeline.metrics.registry)


async def run(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Serve until cancelled, and then until the calls under way have ended. Raises what ends a part of it."""
    async with listening(settings, environ):
        # What start made lives for as long as the process: no collection need look at it again.
        gc.collect()
        gc.freeze()
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def listening(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Sidecar]:
    """Serve while the block runs. Raises OSError if a port is taken; what fails later cancels the block."""
    sidecar = Sidecar(settings, environ)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(sidecar.close)
        sidecar.audit.start()
        sockets = [
            stack.enter_context(contextlib.closing(listen(LOOPBACK, settings.port))),
            stack.enter_context(contextlib.closing(listen(settings.health_host, settings.health_port))),
        ]
        sidecar.serving = sidecar.servers()
        async with asyncio.TaskGroup() as group:
            serving = [
                group.create_task(server.serve(sockets=[each]))
                for server, each in zip(sidecar.serving, sockets, strict=True)
            ]
            following = [group.create_task(each.run()) for each in (sidecar.source, sidecar.look)]
            try:
                yield sidecar
            finally:
                for task in following:
                    task.cancel()
                sidecar.stop_listeners()
                for server in sidecar.serving:
                    server.should_exit = True
                await asyncio.wait(serving)


def _tracer(environ: Mapping[str, str], settings: Settings) -> Tracer:
    endpoint = environ.get(OTLP_ENDPOINT, "")
    return to_collector(endpoint, {"k8s.pod.name": settings.pod}) if endpoint else Tracer()
