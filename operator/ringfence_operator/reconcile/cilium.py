"""The second egress back end: what policies open by name is said by CiliumNetworkPolicies, and Cilium judges it."""

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.errors import InvalidError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.kept import Kept
from ringfence_operator.reconcile.ports import CILIUM, Kube, Raw
from ringfence_operator.reconcile.view import Cilium, View
from ringfence_operator.resources.cilium_network_policy import (
    CiliumAround,
    build_cilium_network_policy,
    cilium_digest,
    unsupported,
)
from ringfence_operator.resources.domains import uses_names
from ringfence_operator.resources.network_policy import policy_name

PLURAL = "ciliumnetworkpolicies"


class CiliumNetworks:
    """Writes the CiliumNetworkPolicies that differ from what they should be, beside NetworkPolicies of their names."""

    def __init__(self, view: View, kube: Kube) -> None:
        if view.cilium is None:
            raise AssertionError("names are not judged by Cilium")
        self._view = view
        self._kept = Kept(view.cilium.policies, kube, CILIUM, PLURAL)
        self._refused: dict[tuple[str, str], str] = {}
        """What the API server says against the policy's, by namespace and name of the policy."""

    async def open(self, policy: SecurityPolicy, namespace: str, *, is_cluster: bool) -> None:
        """Have in place in `namespace` what `policy` opens by name, and nothing where it is refused."""
        self._refused.pop(policy.key, None)
        desired = _desired(policy, namespace, self._view, is_cluster=is_cluster)
        if desired is None:
            await self.remove(namespace, policy_name(policy.metadata.name, is_cluster=is_cluster))
            return
        name = desired["metadata"]["name"]
        try:
            await self._kept.ensure(namespace, name, lambda: desired, cilium_digest(desired))
        except InvalidError as error:
            # What stands there was for another form of the policy.
            self._refused[policy.key] = str(error)
            await self.remove(namespace, name)

    async def remove(self, namespace: str, name: str) -> None:
        """Delete one of our CiliumNetworkPolicies, if it is there."""
        await self._kept.remove(namespace, name)

    def refusal(self, policy: SecurityPolicy) -> tuple[Reason, str] | None:
        """Return why what `policy` opens by name is not in force, or None."""
        refused = self._refused.get(policy.key)
        if refused:
            return Reason.BACKEND_REFUSED, f"the API server refuses the CiliumNetworkPolicy: {refused}"
        return cilium_refusal(policy, self._view)


def _desired(policy: SecurityPolicy, namespace: str, view: View, *, is_cluster: bool) -> Raw | None:
    dns = view.dns
    if dns is None or not uses_names(policy) or _problem(policy, view):
        return None
    around = CiliumAround(
        dns_namespace=dns.meta.namespace,
        dns=dns,
        cluster_domain=view.settings.cluster_domain,
        reserved=view.reserved(),
        services=view.named_services(policy),
    )
    return build_cilium_network_policy(policy, namespace=namespace, is_cluster=is_cluster, around=around)


def _problem(policy: SecurityPolicy, view: View) -> tuple[Reason, str] | None:
    """Return why the policy cannot be written for Cilium at all."""
    problem = unsupported(policy)
    if problem:
        return Reason.NOT_SUPPORTED_BY_BACKEND, problem
    if not uses_names(policy):
        return None
    missing = view.cilium.missing() if view.cilium else "there is no Cilium"
    if missing:
        message = (
            f"CiliumNetworkPolicies (cilium.io/v2) cannot be used here: {missing}: install Cilium 1.19 or later and "
            "deploy/cilium, or start the operator with --egress-backend=envoy"
        )
        return Reason.BACKEND_NOT_FOUND, message
    if view.dns is None:
        return Reason.SERVICE_NOT_FOUND, explain_no_dns(view.settings.dns_service)
    return None


def explain_no_dns(service: str) -> str:
    """Return the sentence for a cluster whose DNS is not where the settings say."""
    return (
        f"Service {service}, the cluster's DNS, does not exist or has no address or selector: name the right one by "
        "RINGFENCE_OPERATOR_DNS_SERVICE"
    )


def cilium_refusal(policy: SecurityPolicy, view: View) -> tuple[Reason, str] | None:
    """Return why what `policy` opens by name is not in force, as far as the view tells."""
    problem = _problem(policy, view)
    if problem or view.cilium is None:
        return problem
    for namespace, name in _places(policy, view.cilium, view):
        present = view.cilium.policies.get(namespace, name)
        if present is not None and present.refusal:
            return Reason.BACKEND_REFUSED, f"CiliumNetworkPolicy {namespace}/{name}: {present.refusal}"
    return None


def _places(policy: SecurityPolicy, cilium: Cilium, view: View) -> list[tuple[str, str]]:
    """Return namespace and name of each CiliumNetworkPolicy that may carry out `policy`."""
    places = [(policy.metadata.namespace, policy_name(policy.metadata.name, is_cluster=False))]
    if view.is_cluster_policy(policy):
        name = policy_name(policy.metadata.name, is_cluster=True)
        places += sorted(key for key in cilium.policies.cache if key[1] == name)
    return places


def lacking_by_name(context: Context, view: View) -> tuple[Reason, str] | None:
    """Return why an agent does not reach by name what its policy opens, where Cilium judges names."""
    policy = context.policy
    if view.cilium is None or policy is None:
        return None
    refusal = cilium_refusal(policy, view)
    if refusal or not uses_names(policy):
        return refusal
    is_cluster = context.agent.spec.security_policy_ref is None
    name = policy_name(policy.metadata.name, is_cluster=is_cluster)
    present = view.cilium.policies.get(context.agent.metadata.namespace, name)
    if present is None or not present.is_ours:
        return Reason.PENDING, f"CiliumNetworkPolicy {name} is being written"
    return None
