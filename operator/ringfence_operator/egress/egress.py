"""The egress gateway from the leader's side: its certificates, its settings, and the feed of its control process."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ringfence_operator.egress.feed import Feed
from ringfence_operator.egress.identity import CHECK_SECONDS, Identities
from ringfence_operator.egress.token_review import TokenReviewer
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.ports import Kube, Task
from ringfence_operator.reconcile.view import View
from ringfence_operator.runtime.queue import WorkQueue

PATIENCE_SECONDS = 10.0
"""How long the first picture waits for policies that cannot be published, so that none keeps the others closed."""
_LATER = 2
TOGETHER_SECONDS = 1.0
"""What the gateway's replicas report is told together; how often at most, a policy's own pass decides."""


class Egress:
    """Feeds the control process while this replica leads; `on_change` hears of policies that stand otherwise.

    `on_health` hears of connectors of which sidecars report something else, `on_authority` of another authority.
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
        on_authority: Callable[[], None] = lambda: None,
    ) -> None:
        self.feed = Feed(
            view.settings.control_socket,
            on_change=on_change,
            on_seen=self._seen,
            on_health=on_health,
            review=TokenReviewer(kube).review,
        )
        self._on_authority = on_authority
        self._view = view
        self._networks = networks
        self._queue = queue
        self._identities = Identities(kube, view.settings.namespace)
        self._unpublished: set[tuple[str, str]] = set()
        self._running: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def lead(self) -> asyncio.Task[None]:
        """Begin to feed; gateways are served once every policy that is there now has been published.

        Returns what feeds, which only `follow` ends.
        """
        self.feed.reset()
        self._unpublished = {tuple(key) for key in self._view.policies.cache}
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self.feed.complete)
        if not self._unpublished:
            self.feed.complete()
        self._running = asyncio.create_task(self.feed.run(), name="feed")
        return self._running

    def follow(self) -> None:
        """End it: the control process stops serving."""
        if self._deadline is not None:
            self._deadline.cancel()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def looked_at(self, namespace: str, name: str) -> None:
        """Take note of a pass over a policy. One that failed comes again: only what is published counts, or is gone."""
        if (namespace, name) not in self._unpublished:
            return
        policy = self._view.policies.get(namespace, name)
        is_due = policy is not None and policy.metadata.deletion_timestamp is None
        if is_due and not self.feed.is_published(f"{namespace}/{name}"):
            return
        self._unpublished.discard((namespace, name))
        if not self._unpublished:
            self.feed.complete()

    async def reconcile(self, now: datetime) -> float | None:
        """Have certificates, settings and the gateway's own NetworkPolicy in place."""
        await self._networks.confine_gateway()
        settings = self._view.settings
        authority = settings.upstream_proxy_authority
        self.feed.configure(
            {
                "reserved": self._view.reserved(),
                "resolvers": list(settings.gateway_resolvers),
                "upstreamProxy": settings.upstream_proxy,
                "upstreamProxyAuthority": Path(authority).read_text() if authority else None,  # noqa: ASYNC240
                "clusterDomain": settings.cluster_domain,
            }
        )
        identity = await self._identities.current(now)
        self.feed.identify(authority=identity.authority, certificate=identity.certificate, key=identity.key)
        if self._view.control.authority != identity.authority:
            self._view.control.authority = identity.authority
            self._on_authority()
        return CHECK_SECONDS

    def _seen(self, policy: str) -> None:
        namespace, _, name = policy.partition("/")
        self._queue.add_after(Task("SecurityPolicy", namespace, name), TOGETHER_SECONDS, _LATER)
