"""NetworkPolicies as they should be; no agent's pod is made before its namespace's default deny."""

from collections.abc import Sequence

from ringfence_operator import labels
from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.conditions import ConditionType, Reason, Status, find_condition
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.reconcile.cilium import CiliumNetworks, lacking_by_name
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.gateway import SETTLE_SECONDS, Force, Gateway, explain
from ringfence_operator.reconcile.handover import lacking_handover
from ringfence_operator.reconcile.kept import Kept, is_as_wanted
from ringfence_operator.reconcile.network_verdict import why_open
from ringfence_operator.reconcile.pool_view import pools_in
from ringfence_operator.reconcile.ports import NETWORKING, Kube, Raw
from ringfence_operator.reconcile.sidecar_network import SidecarNetworks
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.starters import Starters
from ringfence_operator.reconcile.view import BY_NAMESPACE, View, block_of
from ringfence_operator.resources.domains import uses_names
from ringfence_operator.resources.gateway import admission_name, build_admission, build_gateway_egress
from ringfence_operator.resources.network_policy import (
    Around,
    build_default_deny,
    build_network_policy,
    policy_name,
)
from ringfence_operator.resources.observed import digest
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.selector import selects

_DENY_DIGEST = digest(build_default_deny("")["spec"])


class Networks:
    """Writes the NetworkPolicies that differ from what they should be, each by one worker at a time."""

    def __init__(self, view: View, kube: Kube) -> None:
        self._view = view
        self._policies = Kept(view.network_policies, kube, NETWORKING, "networkpolicies")
        self._names = CiliumNetworks(view, kube) if view.has_cilium else None
        self.sidecars = SidecarNetworks(view, kube, self._policies)

    async def close(self, namespace: str) -> None:
        """Have the default deny of `namespace` in place."""
        deny = labels.DEFAULT_DENY
        await self._policies.ensure(namespace, deny, lambda: build_default_deny(namespace), _DENY_DIGEST)

    async def open(self, policy: SecurityPolicy, namespace: str, *, is_cluster: bool) -> None:
        """Have in place in `namespace` what `policy` opens there."""
        port_set = self._view.port_set(policy)
        around = Around(
            closed_namespace=self._view.settings.namespace,
            reserved=self._view.reserved(),
            block=block_of(port_set) if port_set else None,
            services=self._view.named_services(policy),
        )
        await self._keep(build_network_policy(policy, namespace=namespace, is_cluster=is_cluster, around=around))
        if self._names is not None:
            await self._names.open(policy, namespace, is_cluster=is_cluster)

    def refusal(self, policy: SecurityPolicy) -> tuple[Reason, str] | None:
        """Return why what `policy` opens by name is not in force, where it is not the gateway that judges names."""
        return self._names.refusal(policy) if self._names is not None else None

    async def admit(self, policy: SecurityPolicy) -> None:
        """Have the gateway's end of the policy in place: its agents, and no others, come to its port set."""
        port_set = self._view.port_set(policy)
        if port_set is not None:
            namespace, is_cluster = self._view.settings.namespace, self._view.is_cluster_policy(policy)
            block = block_of(port_set)
            await self._keep(build_admission(block, policy.key, namespace=namespace, is_cluster=is_cluster))

    async def dismiss(self, block: int) -> None:
        """Close the gateway's end of a policy that is gone."""
        await self.remove(self._view.settings.namespace, admission_name(block))

    async def confine_gateway(self) -> None:
        """Have in place where the gateway itself may go."""
        settings = self._view.settings
        if self._view.has_gateway:
            reserved = self._view.reserved()
            await self._keep(
                build_gateway_egress(settings.namespace, reserved, settings.gateway_resolvers, settings.upstream_proxy)
            )

    async def _keep(self, desired: Raw) -> None:
        meta = desired["metadata"]
        await self._policies.ensure(meta["namespace"], meta["name"], lambda: desired, digest(desired["spec"]))

    async def prepare(self, context: Context) -> None:
        """Have in place what the agent's pod needs before it is made; writes nothing when it is there."""
        agent, policy = context.agent, context.policy
        namespace = agent.metadata.namespace
        await self.sidecars.prepare(context)
        if context.effective.isolation.value is Isolation.NONE:
            return
        await self.close(namespace)
        if policy is None:
            return
        is_cluster = agent.spec.security_policy_ref is None
        name = policy_name(policy.metadata.name, is_cluster=is_cluster)
        # What it says is kept right by the policy's own reconcile; here it only has to be there.
        present = self._view.network_policies.get(namespace, name)
        if present is None or not present.is_ours:
            await self.open(policy, namespace, is_cluster=is_cluster)

    async def prepare_pool(self, namespace: str, connectors: Sequence[Connector] = ()) -> None:
        """Have in place what a pool's pods need before they are made: closed, but for their starters.

        What a sidecar reaches besides is there, too, so that no claim waits for it, and opens to no warm pod.
        """
        await self.sidecars.open_starters(namespace)
        if connectors:
            await self.sidecars.open_sidecars(namespace)
            await self.sidecars.open_missing(connectors)
        await self.close(namespace)

    async def remove(self, namespace: str, name: str) -> None:
        """Delete one of our NetworkPolicies, and what opens names beside it, if they are there."""
        await self._policies.remove(namespace, name)
        if self._names is not None:
            await self._names.remove(namespace, name)

    async def restore(self, namespace: str, name: str) -> None:
        """Have one of our NetworkPolicies, which somebody changed or deleted, as it should be."""
        if name == labels.DEFAULT_DENY:
            if self._view.agents.keys_by(BY_NAMESPACE, namespace) or pools_in(namespace, self._view):
                await self.close(namespace)
            return
        if await self.sidecars.restore(namespace, name):
            return
        if name.startswith(labels.GATEWAY):
            await self._restore_gateway(namespace, name)
            return
        for is_cluster in (False, True):
            prefix = policy_name("", is_cluster=is_cluster)
            if name.startswith(prefix):
                await self._restore(namespace, name.removeprefix(prefix), is_cluster=is_cluster)

    async def _restore_gateway(self, namespace: str, name: str) -> None:
        """Of the gateway's own and of its ends of policies; under such a name elsewhere it is none of ours."""
        if namespace == self._view.settings.namespace and name == labels.GATEWAY and self._view.has_gateway:
            await self.confine_gateway()
            return
        service = self._view.services.get(self._view.settings.namespace, name.removeprefix(f"{labels.GATEWAY}-"))
        ways = self.sidecars.ways
        if service and service.connector and ways and await ways.restore(service):
            return
        policy = self._view.policies.get(*service.policy.split("/", 1)) if service and service.policy else None
        if policy and namespace == self._view.settings.namespace and self._view.port_set(policy) == service:
            await self.admit(policy)
        else:
            await self.remove(namespace, name)

    async def _restore(self, namespace: str, policy: str, *, is_cluster: bool) -> None:
        found = self._view.cluster_policy() if is_cluster else self._view.policies.get(namespace, policy)
        if found is not None and found.metadata.name == policy:
            await self.open(found, namespace, is_cluster=is_cluster)
        else:
            await self.remove(namespace, policy_name(policy, is_cluster=is_cluster))


Enforced = tuple[bool, Reason, str] | None
"""Whether what confines a pod is in force, why, and a sentence; None without a pod."""


def enforcement(
    context: Context,
    view: View,
    gateway: Gateway | None,
    sidecars: Sidecars | None = None,
    starters: Starters | None = None,
) -> Enforced:
    """Return whether what confines the agent's pod is in force: as it was written, and as it is found from inside."""
    pod = context.own_pod
    if pod is None:
        return None
    if context.effective.isolation.value is Isolation.NONE:
        return False, Reason.NOT_CONFINED, "isolation None closes nothing: for development only"
    namespace = context.agent.metadata.namespace
    if not is_as_wanted(view.network_policies.get(namespace, labels.DEFAULT_DENY), _DENY_DIGEST):
        return False, Reason.PENDING, "the namespace's default deny is being written"
    for foreign in view.foreign_policies(namespace):
        if selects(foreign.selector, pod.labels):
            message = (
                f"NetworkPolicy {foreign.meta.name} is not Ringfence's and opens egress to this pod: "
                "delete it, or exclude the pod from its podSelector"
            )
            return False, Reason.FOREIGN_NETWORK_POLICY, message
    lacking = _lacking_in_cluster(context) or (
        _lacking_at_gateway(context, view, gateway) if gateway else lacking_by_name(context, view)
    )
    if sidecars and pod.sidecar_hash and not pod.claimed:
        lacking = lacking or _lacking_inside(context, view, pod, sidecars)
    # From a claimed pod its starter looks, before the command runs; the sidecar does not.
    lacking = lacking or (lacking_handover(context, pod, starters) if pod.claimed else None)
    if lacking:
        return False, *lacking
    return True, Reason.IN_FORCE, "the default deny is written, and nobody else's policy opens egress"


def _lacking_in_cluster(context: Context) -> tuple[Reason, str] | None:
    message = why_open(context.network)
    return (Reason.NETWORK_NOT_ENFORCED, message) if message else None


def _lacking_at_gateway(context: Context, view: View, gateway: Gateway) -> tuple[Reason, str] | None:
    """Return why the gateway does not have in force what the policy names; a change on its way is no reason yet."""
    policy = context.policy
    if policy is None or not uses_names(policy):
        return None
    standing = gateway.standing("/".join(policy.key), view.gateway_replicas())
    if standing.force is Force.IN_FORCE:
        return None
    before = find_condition(context.agent.status.conditions, ConditionType.ENFORCED)
    is_settling = standing.seconds < SETTLE_SECONDS and before is not None and before.status == Status.TRUE
    return None if is_settling else explain(standing)


def _lacking_inside(context: Context, view: View, pod: Pod, sidecars: Sidecars) -> tuple[Reason, str] | None:
    """Return what the pod's sidecar finds amiss, or that it has not looked yet."""
    found = sidecars.inside(pod.meta.uid)
    if found is None:
        before = find_condition(context.agent.status.conditions, ConditionType.ENFORCED)
        was_in_force = before is not None and before.status == Status.TRUE
        # A new leader has heard of nobody yet, and a sidecar of an older version never says.
        if was_in_force or sidecars.has_reported(pod.meta.uid):
            return None
        return Reason.UNVERIFIED_INSIDE, "the pod's sidecar has not said yet how it finds the pod's network"
    if not found.closed and not view.settings.allow_unenforced_network:
        message = "the sidecar reached the API server from inside the pod, which no policy permits"
        return Reason.CANARY_REACHED, f"{message}: see what enforces NetworkPolicies on its node"
    if found.way_out is False:
        message = f"from inside the pod its policy's port set at {pod.gateway_address} does not answer"
        return (
            Reason.WAY_OUT_CLOSED,
            f"{message}: see the gateway's pods, and what enforces NetworkPolicies there",
        )
    return None


def settles_in(context: Context, view: View, gateway: Gateway | None) -> float | None:
    """Return the seconds after which a change on its way to the gateway counts as not in force; None without one."""
    policy = context.policy
    if gateway is None or policy is None or context.own_pod is None or not uses_names(policy):
        return None
    standing = gateway.standing("/".join(policy.key), view.gateway_replicas())
    left = SETTLE_SECONDS - standing.seconds
    return left if standing.force is not Force.IN_FORCE and left > 0 else None
