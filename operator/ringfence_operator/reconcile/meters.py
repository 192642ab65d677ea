"""Which agents' connections are led through a meter at the gateway, and what each is told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.conditions import ConditionType, Reason, find_condition
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource
from ringfence_operator.reconcile.checks import NO_GATEWAY
from ringfence_operator.reconcile.network_quota import Allowed, Held
from ringfence_operator.reconcile.quota_use import Use
from ringfence_operator.reconcile.quotas import limits_of, missing_quota_of, quotas_of_record
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.record import AgentRecord

BY_METERED = "metered"
_ANYWHERE = ""


def index_by_metered(quota: Quota) -> Iterable[str]:
    """Yield the namespace of a quota that limits the network, and a key for all of them."""
    if limits_network(quota):
        yield quota.metadata.namespace
        yield _ANYWHERE


def limits_network(quota: Quota) -> bool:
    """Return True if the quota has a limit that the gateway keeps."""
    return quota.metadata.deletion_timestamp is None and any(
        MATRIX[each.resource].enforcer is Enforcer.GATEWAY for each in quota.spec.limits
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """An agent's pod whose connections are counted, and what limits them: nothing, perhaps."""

    agent_uid: str
    agent: tuple[str, str]
    """Namespace and name."""
    pod_uid: str
    address: str
    limits: tuple[Held, ...]
    missing: str = ""
    """The Quota that the agent names and that does not exist: then nothing is let through."""
    is_direct: bool = False
    """True if its policy opens what does not lead through the gateway."""
    replicas: tuple[str, ...]
    """Of the gateway: they share what may be open."""
    created: datetime
    """When the pod was made."""

    @property
    def is_asked_about(self) -> bool:
        """Whether its kubelet is to say what it moves past the gateway: of bytes it can, of connections nobody."""
        return self.is_direct and any(each.limit.resource is Resource.NETWORK_BYTES for each in self.limits)


class Meters(Protocol):
    """The gateway's meters, through the control process. What has been said stays said when that restarts."""

    def publish(self, metered: Metered) -> None:
        """Have the pod's connections counted, and limited. What does not differ costs nothing."""

    def withdraw(self, pod_uid: str) -> None:
        """The pod is gone, or nothing of it is counted any more."""

    def is_direct(self, agent_uid: str) -> bool:
        """Return True if the agent has ways past the gateway, which are to be closed, too, when nothing is left."""

    def is_known(self, agent_uid: str) -> bool:
        """Return False while an operator that begins has yet to be told what the agent has used."""

    def allowed(self, agent_uid: str) -> Allowed | None:
        """Return what was left to the agent when that was looked at last, None if nothing limits it."""


def is_metered(namespace: str, view: View, *, is_cluster: bool = False) -> bool:
    """Return True if connections under the policies of a namespace are led through meters.

    That is so as soon as any quota of the namespace limits the network, of any at all for the cluster's policy: if it
    depended on which agents there are, one that comes could cut the connections of others.
    """
    return view.has_gateway and bool(view.quotas.keys_by(BY_METERED, _ANYWHERE if is_cluster else namespace))


def metered(agent: AgentRecord, pod: Pod | None, view: View) -> Metered | None:
    """Return what the agent's pod is to be told, None if its connections are not led through a meter."""
    if pod is None or not pod.address or not pod.owner_uid:
        return None
    policy = f"{agent.namespace}/{agent.policy}" if agent.policy else view.settings.default_policy
    is_cluster = policy == view.settings.default_policy
    if policy is None or not is_metered(agent.namespace, view, is_cluster=is_cluster):
        return None
    limits = limits_of(quotas_of_record(agent, view), Enforcer.GATEWAY)
    return Metered(
        agent_uid=pod.owner_uid,
        agent=(agent.namespace, agent.name),
        pod_uid=pod.meta.uid,
        address=pod.address,
        limits=tuple(Held(*quota.key, quota.metadata.uid, limit) for quota, limit in limits),
        is_direct=_is_direct(policy, view),
        missing=missing_quota_of(agent, view) or "",
        replicas=tuple(view.gateway_replicas()),
        created=datetime.fromisoformat(pod.created),
    )


def _is_direct(policy: str, view: View) -> bool:
    found = view.policies.get(*policy.split("/", 1))
    return found is not None and bool(found.spec.network.destinations or found.spec.network.cidrs)


def publish_meter(agent: AgentRecord, view: View, meters: Meters) -> None:
    """Have the agent's pod counted as its quotas want it."""
    pod = view.pods.get(agent.namespace, agent.name)
    found = metered(agent, pod, view)
    if found is not None:
        meters.publish(found)
    elif pod is not None:
        meters.withdraw(pod.meta.uid)


def left_to(agent: Agent, meters: Meters | None) -> Allowed | None:
    """Return what quotas leave the agent of the network, None where none limits it.

    Of one whose status says that nothing is left that goes on to hold until it is known, or each operator that begins
    would open what the one before had closed.
    """
    if meters is None:
        return None
    closed = find_condition(agent.status.conditions, ConditionType.NETWORK_CLOSED)
    if closed is not None and not meters.is_known(agent.metadata.uid):
        return Allowed(bytes=0, words=closed.message, is_told_before=True)
    return meters.allowed(agent.metadata.uid)


class NoMeters:
    """A `LimitSource` in place of the gateway's meters, where there is no gateway."""

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return that none of the gateway's limits is kept."""
        kept = (each for each in quota.spec.limits if MATRIX[each.resource].enforcer is Enforcer.GATEWAY)
        return {each.id: Use(used=0, is_measured=False, trouble=(Reason.NOT_SUPPORTED, NO_GATEWAY)) for each in kept}
