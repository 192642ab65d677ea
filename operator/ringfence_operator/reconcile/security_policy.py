"""One pass over a SecurityPolicy: its port set, its NetworkPolicies where it holds, then its status."""

from dataclasses import dataclass, field
from datetime import datetime

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.security_policy import SecurityPolicy, SecurityPolicyStatus
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.gateway import SETTLE_SECONDS, Force, Seen, Standing
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.policy_status import Found, policy_status
from ringfence_operator.reconcile.port_set import PortSets, PortSetsFullError
from ringfence_operator.reconcile.ports import Kube
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.view import View, block_of
from ringfence_operator.resources.domains import uses_names
from ringfence_operator.resources.network_policy import policy_name
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.port_set import MOST_FURTHER

COUNT_SECONDS = 5.0
"""How long the count of agents may lag behind: a burst of agents costs one write, not one each."""
SEEN_SECONDS = 30.0
_SEEN = ("observed_domains", "observed_others", "denied_domains", "denied_others")
"""How long names that agents asked for may wait to be told: traffic costs no more than two writes a minute."""

FULL_SECONDS = 30.0
"""How soon a policy without a port set looks whether there is one by now; that costs no write."""


@dataclass(frozen=True, slots=True)
class PolicyTools:
    """What a pass over a policy works with."""

    view: View
    kube: Kube
    networks: Networks
    port_sets: PortSets | None = None
    """None without an egress gateway."""
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a policy's names were last told."""
    waiting: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """Since when a policy's status waits that tells of other replicas."""


async def reconcile_security_policy(policy: SecurityPolicy, tools: PolicyTools, *, now: datetime) -> float | None:
    """Have in force what `policy` opens, then report. Safe to run at any time, any number of times."""
    if policy.metadata.deletion_timestamp is not None:
        return None
    refusal = await _keep_port_set(policy, tools)
    await tools.networks.open(policy, policy.metadata.namespace, is_cluster=False)
    if tools.view.is_cluster_policy(policy):
        for each in namespaces_of_cluster_policy(tools.view):
            await tools.networks.open(policy, each, is_cluster=True)
    refusal = refusal or tools.networks.refusal(policy)
    standing = _standing(policy, tools)
    if standing.force is not Force.IN_FORCE and standing.seconds < SETTLE_SECONDS and refusal is None:
        return SETTLE_SECONDS - standing.seconds
    again = await _report(policy, Found(standing, refusal), tools, now=now)
    if refusal is None or refusal[0] is not Reason.NO_PORT_SET:
        return again
    return FULL_SECONDS if again is None else min(again, FULL_SECONDS)


async def _keep_port_set(policy: SecurityPolicy, tools: PolicyTools) -> tuple[Reason, str] | None:
    """Have the policy's port set, and the gateway's end of it; return why it has none, if it cannot."""
    if tools.port_sets is None:
        if tools.view.has_cilium or not uses_names(policy):
            return None
        message = "names need the egress gateway: start the operator with RINGFENCE_OPERATOR_EGRESS_BACKEND=envoy"
        return Reason.NO_GATEWAY, message
    try:
        closed = await tools.port_sets.keep(policy, tools.networks.dismiss)
    except PortSetsFullError as error:
        return Reason.NO_PORT_SET, str(error)
    await tools.networks.admit(policy)
    if not closed:
        return None
    message = f"a policy has {MOST_FURTHER} ports besides 80 and 443: {', '.join(map(str, closed))} stay closed"
    return Reason.TOO_MANY_PORTS, message


def _standing(policy: SecurityPolicy, tools: PolicyTools) -> Standing:
    """Return where the policy stands; one that names nothing of the outside needs no replica to be in force."""
    if tools.port_sets is None:
        return Standing(Force.IN_FORCE)
    standing = tools.port_sets.gateway.standing("/".join(policy.key), tools.view.gateway_replicas())
    return standing if uses_names(policy) else Standing(Force.IN_FORCE, replicas=standing.replicas)


async def _report(policy: SecurityPolicy, found: Found, tools: PolicyTools, *, now: datetime) -> float | None:
    key = "/".join(policy.key)
    seen = tools.port_sets.gateway.seen(key) if tools.port_sets else Seen()
    status = policy_status(policy, tools.view, found, seen, now=now)
    if status == policy.status:
        tools.waiting.pop(policy.key, None)
        if tools.port_sets:
            # Counts that are at their greatest grow no more; kept, it would leave no room for what comes.
            tools.port_sets.gateway.told(key, seen)
        return None
    wait = _seconds_to_wait(policy, status, tools, now)
    if wait > 0:
        return wait
    try:
        tools.view.policies.store(await report(policy, status, kube=tools.kube, now=now))
    except NotFoundError:
        return None
    if tools.port_sets:
        tools.port_sets.gateway.told(key, seen)
    tools.waiting.pop(policy.key, None)
    tools.told[policy.key] = now
    return None


def _seconds_to_wait(policy: SecurityPolicy, status: SecurityPolicyStatus, tools: PolicyTools, now: datetime) -> float:
    """Return how long a status can wait that tells nothing new but names, or which replicas there are.

    A replica that comes or goes concerns every policy: without this, a roll of the gateway would cost two writes each,
    and that just when the replica that comes instead needs the machine.
    """
    before = policy.status
    if _with_lesser_of(status, before) != before:
        return 0.0
    if _seen(status) == _seen(before):
        since = tools.waiting.setdefault(policy.key, now)
    elif (told := tools.told.get(policy.key)) is not None:
        since = told
    else:
        return 0.0
    return SEEN_SECONDS - (now - since).total_seconds()


def _seen(status: SecurityPolicyStatus) -> dict[str, object]:
    return {each: getattr(status, each) for each in _SEEN}


def _with_lesser_of(status: SecurityPolicyStatus, other: SecurityPolicyStatus) -> SecurityPolicyStatus:
    """Return `status` with the names and the gateway's replicas of `other`."""
    gateway = status.gateway
    if gateway and other.gateway:
        gateway = gateway.model_copy(update={"replicas": other.gateway.replicas})
    return status.model_copy(update={**_seen(other), "gateway": gateway})


async def remove_security_policy(namespace: str, name: str, tools: PolicyTools) -> None:
    """Close what a deleted policy had opened, at once and not when the garbage collector comes by."""
    view = tools.view
    await tools.networks.remove(namespace, policy_name(name, is_cluster=False))
    if f"{namespace}/{name}" == view.settings.default_policy:
        for each in namespaces_of_cluster_policy(view):
            await tools.networks.remove(each, policy_name(name, is_cluster=True))
    tools.told.pop((namespace, name), None)
    tools.waiting.pop((namespace, name), None)


async def reconcile_port_set(namespace: str, name: str, tools: PolicyTools) -> float | None:
    """Give a port set back whose policy is gone; of two that one policy has, the second."""
    if tools.port_sets is None:
        return None
    service = tools.view.services.get(namespace, name)
    if service is None:
        block = int(name.removeprefix("p-"))
        again = tools.port_sets.forget(block)
        if again is None:
            await tools.networks.dismiss(block)
        return again
    if not service.policy or _is_held(service, tools.view):
        return None
    await tools.networks.dismiss(block_of(service))
    # Meanwhile a policy of the same name may have come.
    return None if _is_held(service, tools.view) else await tools.port_sets.release(service)


def _is_held(service: Service, view: View) -> bool:
    policy = view.policies.get(*service.policy.split("/", 1))
    return policy is not None and view.port_set(policy) == service


def namespaces_of_cluster_policy(view: View) -> list[str]:
    """Return the namespaces in which agents name no policy."""
    return sorted({agent.namespace for agent in view.agents.cache.values() if not agent.policy})
