"""The egress gateway from the leader's side: its certificates, its settings, and the feed of its control process."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ringfence_operator.egress.derived import Derived
from ringfence_operator.egress.feed import Feed
from ringfence_operator.egress.identity import CHECK_SECONDS, Identities
from ringfence_operator.egress.quota_reports import NoSidecars, QuotaReports
from ringfence_operator.egress.quota_store import QuotaStore
from ringfence_operator.egress.redis_place import RedisPlace, with_addresses
from ringfence_operator.egress.redis_users import RedisUsers
from ringfence_operator.egress.telemetry import Telemetry
from ringfence_operator.egress.token_review import TokenReviewer
from ringfence_operator.reconcile.binding import has_outside
from ringfence_operator.reconcile.issuer import Issuer
from ringfence_operator.reconcile.meters import is_metered, publish_meter
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.ports import Kube, Task
from ringfence_operator.reconcile.quota_index import BY_UID
from ringfence_operator.reconcile.quota_sources import NodeLimits, OperatorLimits
from ringfence_operator.reconcile.quota_use import LimitSource, OnUse
from ringfence_operator.reconcile.standing import Standings
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.port_set import connector_holder, connector_of
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.settings import Settings

PATIENCE_SECONDS = 10.0
"""How long the first picture waits for policies that cannot be published, so that none keeps the others closed."""
_LATER = 2
TOGETHER_SECONDS = 1.0
"""What the gateway's replicas report is told together; how often at most, a policy's own pass decides."""


class Egress:
    """Feeds the control process while this replica leads; `on_change` hears whose port set stands otherwise.

    `on_health` hears of connectors of which sidecars report something else, `on_inside` of agents whose pod's network
    is found to be another, `on_fitness` of pools of whose warm pods others are fit for an agent, `on_identity` of
    another authority or other credentials, `on_use` of quotas of which something was used, `on_spent` of agents to
    which nothing is left of the network, or something again.
    """

    def __init__(
        self,
        view: View,
        kube: Kube,
        networks: Networks,
        queue: WorkQueue[Task],
        *,
        on_change: Callable[[str], None],
        on_health: Callable[[tuple[str, str]], None] = lambda _: None,
        on_inside: Callable[[tuple[str, str]], None] = lambda _: None,
        on_fitness: Callable[[tuple[str, str]], None] = lambda _: None,
        on_identity: Callable[[], None] = lambda: None,
        on_use: OnUse = lambda _: None,
        on_spent: Callable[[tuple[str, str]], None] = lambda _: None,
        is_leading: Callable[[], bool] = lambda: True,
    ) -> None:
        self.feed = Feed(
            view.settings.control_socket,
            on_change=on_change,
            on_seen=self._seen,
            on_health=on_health,
            on_inside=on_inside,
            on_fitness=on_fitness,
            on_use=self._used,
            on_spent=on_spent,
            review=TokenReviewer(kube).review,
        )
        network = (self.feed.meters,) if view.has_gateway else ()
        self.feed.limit_standing = Standings(view, (NodeLimits(view), OperatorLimits(view), *network)).of
        self._on_identity = on_identity
        self._on_use = on_use
        self._view = view
        self._networks = networks
        self._queue = queue
        self._identities = Identities(kube, view.settings.namespace)
        self._issuer = Issuer(kube)
        self.credentials = Derived()
        place = _redis_place(view.settings)
        self._redis = RedisUsers(place, self.credentials.redis, on_change=on_identity) if place else None
        self._quota_store = (
            QuotaStore(view, place, on_use=on_use, clock=time.time, is_leading=is_leading) if place else None
        )
        self.telemetry = Telemetry(view, on_change=on_identity)
        self._unpublished: set[str] = set()
        """Whose port sets are not published yet, as `PortSet.policy` has it."""
        self._running: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def lead(self) -> asyncio.Task[None]:
        """Begin to feed; gateways are served once every policy and connector that is there now has been published.

        Returns what feeds, which only `follow` ends.
        """
        self.feed.reset()
        # All at once: a gateway that comes back with what it has would cut those of whom nobody has spoken.
        if is_metered("", self._view, is_cluster=True):
            for agent in self._view.agents.cache.values():
                publish_meter(agent, self._view, self.feed.meters)
        policies = ["/".join(key) for key in self._view.policies.cache] if self._view.has_gateway else []
        connectors = [each for each in self._view.connectors.cache.values() if has_outside(each)]
        holders = [connector_holder(*each.key) for each in connectors] if self._view.has_gateway else []
        self._unpublished = {*policies, *holders}
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self.feed.complete)
        if not self._unpublished:
            self.feed.complete()
        self._running = asyncio.create_task(self._run(), name="feed")
        return self._running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.feed.run())
            group.create_task(self.telemetry.run())
            group.create_task(self.feed.meters.run())
            if self._redis is not None:
                group.create_task(self._redis.run())
            if self._quota_store is not None:
                group.create_task(self._quota_store.run())

    @property
    def call_limits(self) -> LimitSource:
        """What is known of the limits that sidecars keep."""
        if not self._view.settings.sidecar_image:
            return NoSidecars()
        return self._quota_store or QuotaReports(self._view, self.feed.sidecars.uses)

    def _used(self, quota_uid: str) -> None:
        for namespace, name in self._view.quotas.keys_by(BY_UID, quota_uid):
            self._on_use((namespace, name))

    def shared_cache(self, namespace: str) -> Mapping[str, Any] | None:
        """Return the namespace's Redis, with its credentials, as the sidecar decodes it; None if there is none.

        Pods with sidecars cannot ask for names of the cluster: in place of a Service's name they are told its address.
        """
        found = self._redis.configuration(namespace) if self._redis is not None else None
        url = with_addresses(str(found["url"]), self._address_of) if found else None
        return {**found, "url": url} if found and url else None

    def _address_of(self, namespace: str, name: str) -> str:
        service = self._view.services.get(namespace, name)
        return service.address if service else ""

    def pod_gone(self, uid: str) -> None:
        """Serve the pod of this UID nothing any more."""
        self.feed.sidecars.withdraw(uid)
        self.feed.starters.withdraw(uid)
        self.feed.meters.withdraw(uid)

    def warm_gone(self, uid: str) -> None:
        """The pod is no warm one any more: starter and sidecar are told nothing, unless it is an agent's."""
        self.feed.sidecars.withdraw_warm(uid)
        self.feed.starters.withdraw_warm(uid)

    def follow(self) -> None:
        """End it: the control process stops serving."""
        if self._deadline is not None:
            self._deadline.cancel()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def looked_at(self, holder: str) -> None:
        """Take note of a pass over a policy or a connector, by what its port set says whose it is.

        One that failed comes again: only what is published counts, or has nothing to publish any more.
        """
        if holder not in self._unpublished or (self._is_due(holder) and not self.feed.is_published(holder)):
            return
        self._unpublished.discard(holder)
        if not self._unpublished:
            self.feed.complete()

    def _is_due(self, holder: str) -> bool:
        key = connector_of(holder)
        if key is None:
            policy = self._view.policies.get(*holder.split("/", 1))
            return policy is not None and policy.metadata.deletion_timestamp is None
        connector = self._view.connectors.get(*key)
        return connector is not None and connector.metadata.deletion_timestamp is None and has_outside(connector)

    async def reconcile(self, now: datetime) -> float | None:
        """Have certificates, settings and the gateway's own NetworkPolicy in place."""
        await self._networks.confine_gateway()
        settings = self._view.settings
        authority = settings.upstream_proxy_authority
        self.feed.configure(
            {
                "reserved": self._view.reserved(),
                "resolvers": list(settings.gateway_resolvers),
                "upstreamProxy": _upstream_proxy(settings),
                "upstreamProxyAuthority": Path(authority).read_text() if authority else None,  # noqa: ASYNC240
                "clusterDomain": settings.cluster_domain,
            }
        )
        identity = await self._identities.current(now)
        self.feed.identify(authority=identity.authority, certificate=identity.certificate, key=identity.key)
        is_other = self.credentials.know(identity.seed)
        if self._view.control.authority != identity.authority or is_other:
            self._view.control.authority = identity.authority
            self._on_identity()
        if settings.sidecar_image or settings.starter_image:
            self.feed.vouch(await self._issuer.current(now) or None)
        return CHECK_SECONDS

    def _seen(self, policy: str) -> None:
        namespace, _, name = policy.partition("/")
        self._queue.add_after(Task("SecurityPolicy", namespace, name), TOGETHER_SECONDS, _LATER)


def _redis_place(settings: Settings) -> RedisPlace | None:
    if settings.redis_url is None:
        return None
    authority = Path(settings.redis_authority).read_text() if settings.redis_authority else ""
    administrator, sentinel = Path(settings.redis_administrator or ""), settings.redis_sentinel_credential
    return RedisPlace(
        url=settings.redis_url,
        administrator=administrator,
        sentinel=Path(sentinel) if sentinel else None,
        authority=authority,
    )


def _upstream_proxy(settings: Settings) -> str | None:
    """Return the proxy's URL with who may use it, as it stands in the file now. Raises OSError without the file."""
    if settings.upstream_proxy is None or settings.upstream_proxy_credential is None:
        return settings.upstream_proxy
    user, _, password = Path(settings.upstream_proxy_credential).read_text().strip().partition(":")
    return settings.upstream_proxy.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1)
