"""The operator's parts, put together: caches that always follow, a Lease, and workers while it is ours."""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog

from ringfence_operator.caches import Caches
from ringfence_operator.egress.egress import Egress
from ringfence_operator.egress.quota_reports import NoSidecars
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.credentials import Credentials
from ringfence_operator.kube.lease import LeaderElector
from ringfence_operator.priorities import LATER
from ringfence_operator.quota_watches import QuotaWatches
from ringfence_operator.reconcile.agent import reconcile_agent
from ringfence_operator.reconcile.agent_pool import PoolTools, reconcile_agent_pool, remove_agent_pool
from ringfence_operator.reconcile.clock import utc_now
from ringfence_operator.reconcile.connector import ConnectorTools, reconcile_connector, remove_connector
from ringfence_operator.reconcile.issuer import Issuer
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.meters import NoMeters
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.network_probe import NetworkProbe
from ringfence_operator.reconcile.pool_figures import PoolFigures
from ringfence_operator.reconcile.port_set import PortSets
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.reconcile.quota import QuotaTools, reconcile_quota, remove_quota
from ringfence_operator.reconcile.quota_sources import NodeLimits, OperatorLimits
from ringfence_operator.reconcile.quota_use import LimitSource
from ringfence_operator.reconcile.security_policy import (
    PolicyTools,
    reconcile_port_set,
    reconcile_security_policy,
    remove_security_policy,
)
from ringfence_operator.reconcile.starters import fitness
from ringfence_operator.reconcile.tools import Tools
from ringfence_operator.reconcile.unreadable import report_unreadable
from ringfence_operator.reconcile.ways import ConnectorWays
from ringfence_operator.resources.port_set import connector_holder
from ringfence_operator.runtime.health import HealthServer
from ringfence_operator.runtime.metrics import Metrics
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.runtime.worker import Instruments, Pace, work
from ringfence_operator.settings import Settings

LEASE = "ringfence-operator"

log = structlog.get_logger()


class Process:
    """One replica. `start` returns once the caches follow; `stop` ends it and gives the Lease up."""

    def __init__(self, settings: Settings, credentials: Credentials, *, on_failure: Callable[[], None]) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._metrics = Metrics()
        self._queue: WorkQueue[Task] = WorkQueue(observer=self._metrics.queue("ringfence"))
        self._lease_client = Client(credentials, connections=2, observe=self._metrics.request)
        self._elector = LeaderElector(
            self._lease_client, settings.namespace, LEASE, settings.identity, duration=settings.lease_seconds
        )
        fence = self._elector.remaining if settings.leader_elect else None
        self._client = Client(credentials, fence=fence, observe=self._metrics.request)
        self._caches = Caches(self._client, settings, self._queue)
        view, client = self._caches.view, self._client
        self._networks = Networks(view, client)
        self._probe = NetworkProbe(view, client)
        self._egress = self._make_egress() if view.feeds_control else None
        sidecars = self._egress.feed.sidecars if self._egress else None
        gateway = self._egress.feed if self._egress and view.has_gateway else None
        port_sets = PortSets(view, client, gateway) if gateway else None
        if self._egress and port_sets:
            self._networks.sidecars.ways = ConnectorWays(
                view,
                client,
                port_sets.gateway,
                port_sets.blocks,
                credential=self._egress.credentials.proxy,
                later=lambda key, seconds: self._queue.add_after(Task("Connector", *key), seconds, LATER),
            )
        shared = self._egress.shared_cache if self._egress else _no_cache
        telemetry = self._egress.telemetry.configuration if self._egress else dict
        self._tools = Tools(
            view,
            client,
            self._networks,
            claims=Locks(),
            gateway=gateway,
            sidecars=sidecars,
            meters=self._egress.feed.meters if self._egress and gateway else None,
            starters=self._egress.feed.starters if self._egress else None,
            shared_cache=shared,
            telemetry=telemetry,
        )
        view.pooling.wake = self._caches.changes.pools.serve
        view.pooling.why_unfit = fitness(self._tools.starters, settings)
        view.pooling.times.observer = self._metrics.pools
        view.pooling.wake_pool = self._caches.changes.pools.pool_stands_otherwise
        self._pool_tools = PoolTools(view, client, self._networks, _suffix, self._tools.starters, self._tools.sidecars)
        self._policy_tools = PolicyTools(view, client, self._networks, port_sets=port_sets)
        self._connector_tools = ConnectorTools(view, client, self._networks, Issuer(client), sidecars=sidecars)
        self._quota_watches = QuotaWatches(
            view,
            self._caches.changes,
            self._queue,
            credentials,
            meters=self._egress.feed.meters if self._egress and gateway else None,
        )
        self._quota_tools = QuotaTools(
            view, client, self._limit_sources(), wake=self._caches.changes.agents_later, sidecars=sidecars
        )
        self._health = HealthServer(self._metrics.registry, self._caches.informers)
        self._background: list[asyncio.Task[None]] = []
        self._workers: asyncio.Task[None] | None = None

    def _limit_sources(self) -> tuple[LimitSource, ...]:
        view = self._caches.view
        calls: LimitSource = self._egress.call_limits if self._egress else NoSidecars()
        network: LimitSource = self._egress.feed.meters if self._egress and view.has_gateway else NoMeters()
        return calls, network, NodeLimits(view), OperatorLimits(view)

    def _make_egress(self) -> Egress:
        changes = self._caches.changes
        made = Egress(
            self._caches.view,
            self._client,
            self._networks,
            self._queue,
            on_change=changes.holder_stands_otherwise,
            on_health=changes.connector_stands_otherwise,
            on_inside=changes.agent_stands_otherwise,
            on_fitness=changes.pools.fitness_changed,
            on_identity=changes.all_with_sidecars,
            on_use=changes.quota_stands_otherwise,
            on_spent=changes.agent_spends_otherwise,
            is_leading=lambda: self._elector.is_leader or not self._settings.leader_elect,
        )
        changes.pod_gone, changes.pools.warm_gone = made.pod_gone, made.warm_gone
        return made

    async def start(self) -> None:
        """Begin to follow the API server and to compete for the Lease."""
        self._metrics.expose_queue("ringfence", self._queue)
        self._metrics.expose_agents(self._states)
        self._metrics.expose_quotas(self._caches.view.quota_knowledge)
        self._metrics.expose_pools(PoolFigures(self._caches.view, lambda: self._workers is not None))
        if self._settings.probe_image:
            self._metrics.expose_network(self._caches.view.network.enforced)
        self._metrics.expose_leader(LEASE, lambda: self._workers is not None)
        await self._health.start(port=self._settings.http_port)
        self._run("caches", self._caches.run())
        await self._caches.synced()
        # What is here now stays: without this, each full collection walks it all, some 60 ms with 5,000 agents.
        gc.collect()
        gc.freeze()
        log.info("operator.synced", agents=len(self._caches.view.agents.cache))
        if self._settings.leader_elect:
            self._run("lease", self._elector.run(on_gained=self._lead, on_lost=self._follow))
        else:
            self._lead()

    async def stop(self) -> None:
        """Finish the passes under way, release the Lease, and close every connection."""
        self._queue.close()
        self._quota_watches.stop()
        if self._egress:
            self._egress.follow()
        workers, self._workers = self._workers, None
        if workers is not None:
            # They bound their own draining; nothing may be written once the Lease is released.
            with suppress(asyncio.CancelledError, Exception):
                await workers
        for task in reversed(self._background):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await self._health.stop()
        await self._quota_watches.close()
        await self._client.close()
        await self._lease_client.close()

    def _run(self, name: str, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what, name=name)
        task.add_done_callback(self._ended)
        self._background.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nothing in the background ends by itself: without it the replica is of no use, so it ends as well."""
        if not task.cancelled():
            log.critical("operator.part_failed", part=task.get_name(), exc_info=task.exception())
            self._on_failure()

    def _workers_ended(self, task: asyncio.Task[None]) -> None:
        if task is self._workers:
            self._ended(task)

    def _lead(self) -> None:
        if self._egress:
            self._egress.lead().add_done_callback(self._ended)
        self._quota_watches.start(self._ended)
        self._caches.changes.mark_all()
        instruments = Instruments(observer=self._metrics.passes("ringfence"))
        pace = Pace(workers=self._settings.workers, drain_seconds=self._settings.lease_seconds / 2)
        passes = work(self._queue, self._reconcile, pace=pace, instruments=instruments)
        self._workers = asyncio.create_task(passes, name="workers")
        self._workers.add_done_callback(self._workers_ended)

    def _follow(self) -> None:
        self._quota_watches.stop()
        if self._egress:
            self._egress.follow()
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.cancel()

    async def _reconcile(self, task: Task) -> float | None:
        now = utc_now()
        ours = {
            "Agent": self._reconcile_agent,
            "AgentPool": self._reconcile_pool,
            "Connector": self._reconcile_connector,
            "Quota": self._reconcile_quota,
            "SecurityPolicy": self._reconcile_policy,
        }
        if task.kind in ours:
            return await ours[task.kind](task.namespace, task.name, now)
        match task.kind:
            case "PortSet":
                return await reconcile_port_set(task.namespace, task.name, self._policy_tools)
            case "Gateway":
                return await self._egress.reconcile(now) if self._egress else None
            case "NetworkProbe":
                return await self._probe.reconcile(now)
            case _:
                await self._networks.restore(task.namespace, task.name)
                return None

    async def _reconcile_policy(self, namespace: str, name: str, now: datetime) -> float | None:
        policy = self._caches.view.policies.get(namespace, name)
        try:
            if policy is None:
                await remove_security_policy(namespace, name, self._policy_tools)
                return None
            return await reconcile_security_policy(policy, self._policy_tools, now=now)
        finally:
            if self._egress:
                self._egress.looked_at(f"{namespace}/{name}")

    async def _reconcile_quota(self, namespace: str, name: str, now: datetime) -> float | None:
        quota = self._caches.view.quotas.get(namespace, name)
        if quota is None:
            remove_quota(namespace, name, self._quota_tools)
            return None
        return await reconcile_quota(quota, self._quota_tools, now=now)

    async def _reconcile_pool(self, namespace: str, name: str, now: datetime) -> float | None:
        pool = self._caches.view.pools.get(namespace, name)
        if pool is None:
            remove_agent_pool(namespace, name, self._pool_tools)
            return None
        return await reconcile_agent_pool(pool, self._pool_tools, now=now)

    async def _reconcile_connector(self, namespace: str, name: str, now: datetime) -> float | None:
        connector = self._caches.view.connectors.get(namespace, name)
        try:
            if connector is None:
                return await remove_connector(namespace, name, self._connector_tools)
            return await reconcile_connector(connector, self._connector_tools, now=now)
        finally:
            if self._egress:
                self._egress.looked_at(connector_holder(namespace, name))

    async def _reconcile_agent(self, namespace: str, name: str, now: datetime) -> float | None:
        record = self._caches.view.agents.get(namespace, name)
        if record is None:
            return None
        try:
            agent = record.parse()
        except InvalidSpecError as error:
            await report_unreadable(record, error, self._caches.view, kube=self._client, now=now)
            raise
        return await reconcile_agent(agent, self._tools, now=now)

    def _states(self) -> Mapping[tuple[str, str], int]:
        agents = self._caches.view.agents.cache.values()
        return Counter((agent.namespace, agent.state) for agent in agents)


def _suffix() -> str:
    """As Kubernetes ends the names that it makes: no vowels, so that no word comes of it."""
    return "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))  # noqa: S311 - tells apart, guards nothing


def _no_cache(_: str) -> None:
    return None
