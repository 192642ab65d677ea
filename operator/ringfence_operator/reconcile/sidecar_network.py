"""What a namespace with sidecars has: a NetworkPolicy for all of them, one for each Connector, and the authority."""

from collections.abc import Sequence

from ringfence_operator import labels
from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.connector import Connector
from ringfence_operator.reconcile.binding import redis_of, services_of, sinks_of
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.kept import Kept
from ringfence_operator.reconcile.pool_view import pools_in
from ringfence_operator.reconcile.ports import CORE, Kube, Raw
from ringfence_operator.reconcile.quotas import has_sidecar
from ringfence_operator.reconcile.sidecars import Ways
from ringfence_operator.reconcile.view import BY_NAMESPACE, View
from ringfence_operator.resources.authority import authority_digest, build_authority
from ringfence_operator.resources.connector_network import (
    build_connector_policy,
    build_sidecars_policy,
    build_starters_policy,
    connector_policy_name,
)
from ringfence_operator.resources.observed import digest


class SidecarNetworks:
    """Writes what differs, each object by one worker at a time; `ways` is None without an egress gateway."""

    def __init__(self, view: View, kube: Kube, policies: Kept) -> None:
        self.ways: Ways | None = None
        self._view = view
        self._policies = policies
        self._authorities = Kept(view.authorities, kube, CORE, "configmaps")

    async def prepare(self, context: Context) -> None:
        """Have in place what the agent's sidecar needs before its pod is made; writes nothing when it is there."""
        namespace = context.agent.metadata.namespace
        pod = context.own_pod
        if not context.wants_sidecar and not (pod and pod.sidecar_hash):
            return
        await self._tell_authority(namespace)
        if context.effective.isolation.value is Isolation.NONE:
            return
        await self.open_sidecars(namespace)
        await self.open_missing(context.bindings.bound)

    async def open_missing(self, connectors: Sequence[Connector]) -> None:
        """Have in place what these connectors open, as far as it is not there."""
        for connector in connectors:
            # What it says is kept right by the connector's own reconcile; here it only has to be there.
            namespace = connector.metadata.namespace
            present = self._view.network_policies.get(namespace, connector_policy_name(connector.metadata.name))
            if present is None or not present.is_ours:
                await self.open(connector)

    async def open_starters(self, namespace: str) -> None:
        """Have in place what the starters in pools' pods need before the pods are made."""
        await self._tell_authority(namespace)
        await self._keep(build_starters_policy(namespace, operator_namespace=self._view.settings.namespace))

    async def open(self, connector: Connector) -> None:
        """Have in place what `connector` opens."""
        await self._keep(
            build_connector_policy(
                connector,
                services=services_of(connector, self._view),
                block=self.ways.block(connector) if self.ways else None,
                gateway_namespace=self._view.settings.namespace,
            )
        )

    async def restore(self, namespace: str, name: str) -> bool:
        """Have one of ours as it should be; returns False if a NetworkPolicy of that name is none of these."""
        if name == labels.SIDECARS:
            has_pool = any(each.spec.template.connectors for each in pools_in(namespace, self._view))
            if has_pool or any(has_sidecar(self._view.agents.cache[key], self._view) for key in self._in(namespace)):
                await self.open_sidecars(namespace)
            return True
        if name == labels.STARTERS:
            if pools_in(namespace, self._view) or any(self._view.agents.cache[key].pool for key in self._in(namespace)):
                await self.open_starters(namespace)
            return True
        if not name.startswith(labels.CONNECTOR_POLICY_PREFIX):
            return False
        found = self._view.connectors.get(namespace, name.removeprefix(labels.CONNECTOR_POLICY_PREFIX))
        if found is not None:
            await self.open(found)
        else:
            await self._policies.remove(namespace, name)
        return True

    def _in(self, namespace: str) -> list[tuple[str, str]]:
        return sorted(self._view.agents.keys_by(BY_NAMESPACE, namespace))

    async def open_sidecars(self, namespace: str) -> None:
        """Have in place what every sidecar of the namespace may reach."""
        view = self._view
        await self._keep(
            build_sidecars_policy(
                namespace,
                operator_namespace=view.settings.namespace,
                redis=redis_of(view),
                sinks=sinks_of(view),
            )
        )

    async def _tell_authority(self, namespace: str) -> None:
        authority = self._view.control.authority
        if authority:
            body = build_authority(namespace, authority)
            await self._authorities.ensure(namespace, labels.AUTHORITY, lambda: body, authority_digest(body))

    async def _keep(self, desired: Raw) -> None:
        meta = desired["metadata"]
        await self._policies.ensure(meta["namespace"], meta["name"], lambda: desired, digest(desired["spec"]))
