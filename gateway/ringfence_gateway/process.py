"""The wiring: subscription → serving → responders; access log and responders → record → reports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from ringfence_gateway.access_log import AccessLog, serve_access_log
from ringfence_gateway.admin import is_envoy_live
from ringfence_gateway.control import Certificates
from ringfence_gateway.environment import Environment
from ringfence_gateway.health import HealthServer
from ringfence_gateway.limits import watch_limits
from ringfence_gateway.metering import Metering
from ringfence_gateway.port_set import Settings
from ringfence_gateway.record import Record
from ringfence_gateway.report import report_forever, report_once
from ringfence_gateway.resolver import Resolver, ResolverServer
from ringfence_gateway.serving import Serving
from ringfence_gateway.subscription import METER_PAST_TYPE, METER_TYPE, PORT_SET_TYPE, SETTINGS_TYPE, Kind, Subscription
from ringfence_gateway.upstream import Resolvers, system_resolvers

LAST_REPORT_SECONDS = 2.0
"""How long the end waits for what was counted since the last report to be taken."""

_log = structlog.get_logger()


async def run(environment: Environment) -> None:
    """Serve until cancelled. Raises what ends a part of it."""
    record = Record()
    serving = Serving(record)
    resolver = build_resolver(serving, record, is_filtering=not environment.test_unfiltered_resolver)
    if environment.test_unfiltered_resolver:
        _log.warning("the resolver hands on private addresses", reason="it was told to, which is for tests only")
    subscription, metering = _subscription(environment, serving)
    async with _servers(environment, record, serving, resolver):
        _log.info("gateway started", pod=environment.pod, control=environment.control)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(subscription.run())
                tasks.create_task(metering.run())
                tasks.create_task(watch_limits(record, environment.run_directory / "admin.sock"))
                try:
                    await report_forever(record, subscription.report, node=node_of(environment))
                finally:
                    async with asyncio.timeout(LAST_REPORT_SECONDS):
                        await report_once(record, subscription.report, node=node_of(environment))
        finally:
            serving.close()


def build_resolver(serving: Serving, record: Record, *, is_filtering: bool) -> Resolver:
    """Return a resolver that follows the settings, and resolves nothing before there are some.

    Envoy may have kept a configuration from before this process: it asks at once, while the operator may be away.
    """
    resolver = Resolver(is_filtering=is_filtering, refused=record.refused)
    serving.on_settings = lambda settings: _apply(settings, resolver)
    return resolver


def _apply(settings: Settings, resolver: Resolver) -> None:
    resolver.reserved = settings.reserved
    resolver.upstream = Resolvers(settings.resolvers or system_resolvers())


def node_of(environment: Environment) -> str:
    """Return what this process is called by the control process; Envoy's node is `POD/envoy`."""
    return f"{environment.pod}/dns"


def _subscription(environment: Environment, serving: Serving) -> tuple[Subscription, Metering]:
    """Return what follows the control process, and what counts in its name."""

    async def send(message: bytes) -> None:
        await subscription.metered(message)

    metering = Metering(environment.pod, environment.run_directory / "meter.sock", send)
    subscription = Subscription(
        node_of(environment),
        environment.control_host,
        environment.control_port,
        server_name=environment.control_name,
        certificates=Certificates(environment.tls_directory),
        kinds={
            # Settings first: no port set is answered by another cluster's domain.
            SETTINGS_TYPE: Kind(serving.put_settings, serving.remove_settings),
            PORT_SET_TYPE: Kind(serving.put_port_set, serving.remove_port_set),
            METER_TYPE: Kind(metering.put, metering.remove),
            METER_PAST_TYPE: Kind(metering.past.put, metering.past.remove),
        },
    )
    subscription.on_connected = metering.connected
    return subscription, metering


@contextlib.asynccontextmanager
async def _servers(
    environment: Environment, record: Record, serving: Serving, resolver: Resolver
) -> AsyncIterator[None]:
    """Listen for Envoy and for the kubelet while the block runs."""

    async def missing() -> str:
        if not serving.settled.is_set():
            return "no configuration yet"
        return "" if await is_envoy_live(environment.run_directory / "admin.sock") else "Envoy is not live"

    health, names = HealthServer(build_registry(record), missing=missing), ResolverServer(resolver)
    async with contextlib.AsyncExitStack() as stack:
        await names.start(port=environment.resolver_port)
        stack.push_async_callback(names.stop)
        entries = await serve_access_log(AccessLog(record, serving.port_sets), environment.run_directory / "als.sock")
        stack.push_async_callback(entries.stop, 0.5)
        await health.start(port=environment.http_port)
        stack.push_async_callback(health.stop)
        yield


def build_registry(record: Record) -> CollectorRegistry:
    """Return all that Prometheus sees."""
    registry = CollectorRegistry()
    registry.register(record)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
