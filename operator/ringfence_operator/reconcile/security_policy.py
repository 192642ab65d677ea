"""One pass over a SecurityPolicy: its NetworkPolicy in each namespace where it holds, then its status."""

from datetime import datetime

from ringfence_operator.api.conditions import Condition, ConditionType, Reason, remove_condition, set_condition
from ringfence_operator.api.security_policy import SecurityPolicy, SecurityPolicyStatus
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.ports import Kube
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.view import BY_POLICY, View
from ringfence_operator.resources.network_policy import policy_name
from ringfence_operator.resources.reserved import is_reserved

COUNT_SECONDS = 5.0
"""How long the count of agents may lag behind: a burst of agents costs one write, not one each."""


async def reconcile_security_policy(
    policy: SecurityPolicy, view: View, *, kube: Kube, networks: Networks, now: datetime
) -> float | None:
    """Have in force what `policy` opens, then report. Safe to run at any time, any number of times."""
    if policy.metadata.deletion_timestamp is not None:
        return None
    await networks.open(policy, policy.metadata.namespace, is_cluster=False)
    if view.is_cluster_policy(policy):
        for each in namespaces_of_cluster_policy(view):
            await networks.open(policy, each, is_cluster=True)
    status = policy_status(policy, view, now=now)
    if status == policy.status:
        return None
    try:
        view.policies.store(await report(policy, status, kube=kube, now=now))
    except NotFoundError:
        return None
    return None


async def remove_security_policy(namespace: str, name: str, view: View, *, networks: Networks) -> None:
    """Close what a deleted policy had opened, at once and not when the garbage collector comes by."""
    await networks.remove(namespace, policy_name(name, is_cluster=False))
    if f"{namespace}/{name}" == view.settings.default_policy:
        for each in namespaces_of_cluster_policy(view):
            await networks.remove(each, policy_name(name, is_cluster=True))


def namespaces_of_cluster_policy(view: View) -> list[str]:
    """Return the namespaces in which agents name no policy."""
    return sorted({agent.namespace for agent in view.agents.cache.values() if not agent.policy})


def policy_status(policy: SecurityPolicy, view: View, *, now: datetime) -> SecurityPolicyStatus:
    """Return the status of a policy whose NetworkPolicies have just been written."""
    conditions: tuple[Condition, ...] = policy.status.conditions
    generation = policy.metadata.generation
    closed = _closed_cidrs(policy, view)
    reason, message = Reason.IN_FORCE, "what the policy opens is in force"
    if closed:
        reason = Reason.RESERVED_ADDRESS
        message = (
            f"{', '.join(closed)}: addresses of the cluster, its nodes or link-local ones stay closed; "
            "name pods by selectors under network.destinations instead"
        )
    conditions = set_condition(
        conditions, ConditionType.READY, not closed, reason, message, now=now, generation=generation
    )
    if closed:
        conditions = set_condition(
            conditions, ConditionType.STALLED, True, reason, message, now=now, generation=generation
        )
    else:
        conditions = remove_condition(conditions, ConditionType.STALLED)
    agents = len(view.agents.keys_by(BY_POLICY, policy.key))
    if view.is_cluster_policy(policy):
        agents += sum(1 for agent in view.agents.cache.values() if not agent.policy)
    return SecurityPolicyStatus(observed_generation=generation, conditions=conditions, agents=agents)


def _closed_cidrs(policy: SecurityPolicy, view: View) -> list[str]:
    reserved = view.reserved()
    network = policy.spec.network
    given = [each.cidr for each in network.cidrs]
    given += [source.cidr for rule in network.ingress for source in rule.from_ if source.cidr is not None]
    return [cidr for cidr in given if is_reserved(cidr, reserved)]
