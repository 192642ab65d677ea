"""What is known about one agent at the start of a pass; every later step is a pure function of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ringfence_operator.api.agent import Agent, Mode
from ringfence_operator.api.agent_pool import AgentPool, PoolTemplate
from ringfence_operator.api.agent_status import EffectiveValue
from ringfence_operator.api.pool_ref import OnMiss
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.reconcile.binding import Bindings, bindings, pool_bindings, reserved_secret, sidecar_of
from ringfence_operator.reconcile.pod_seconds import Allowance, allowances
from ringfence_operator.reconcile.pool_view import is_unreadable, pool_of, template_of
from ringfence_operator.reconcile.quotas import has_call_limits, missing_quota, quotas_of
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.view import View
from ringfence_operator.reconcile.warm import Ask, why_not_warm
from ringfence_operator.resources.deciding import deciding
from ringfence_operator.resources.effective import Effective, effective
from ringfence_operator.resources.network_probe import Verdict
from ringfence_operator.resources.observed import Claim
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.pod import pod_hash, spec_hash
from ringfence_operator.resources.pool import confined_at_least, with_template, with_template_policy
from ringfence_operator.resources.present import memory_limit
from ringfence_operator.resources.quota_caps import caps_of
from ringfence_operator.resources.record import secrets_of
from ringfence_operator.resources.share import RefusedShare
from ringfence_operator.resources.sidecar import Sidecar
from ringfence_operator.resources.strictness import filled
from ringfence_operator.resources.volumes import claim_name
from ringfence_operator.settings import Settings

NODE_SECONDS = 15.0
"""Watches are not in step: a pod may be seen on a node that is not in view yet."""


@dataclass(frozen=True, slots=True)
class Context:
    """One agent, and all that decides about it."""

    agent: Agent
    """With what the template gives it, if its pod comes from a pool."""
    given: Agent
    """As its author wrote it."""
    pool: AgentPool | None
    """The pool that it names, if that is there."""
    template: PoolTemplate | None
    """What its pod was made from, or would be; None of an agent that names no pool, or one that is not there."""
    policy: SecurityPolicy | None
    missing_policy: str | None
    template_policy: SecurityPolicy | None
    """What the pool's pods are made for; the agent's own may be another."""
    not_warm: Refusal | None
    """Why no pod of its pool can be the agent's; None of an agent that names none."""
    is_cold: bool
    """True if the agent names a pool and has, or is to have, a pod that is made for it."""
    effective: Effective
    pod: Pod | None
    claim: Claim | None
    is_node_known: bool
    gateway_address: str | None
    """Address of the policy's port set, the pod's name server and proxy; under Cilium, of the cluster's DNS."""
    network: Verdict | None
    """What the network probe found out; None while nobody knows, or asks."""
    rivals: tuple[str, ...]
    """Other agents that the workspace's claim is to be left to."""
    runtime_classes: frozenset[str]
    quotas: tuple[Quota, ...]
    """Those that hold for the agent, by name."""
    missing_quota: str | None
    """The Quota that it names and that does not exist."""
    bindings: Bindings
    sidecar: Sidecar | None
    """What the agent's sidecar would be made from now; None without one, or while something of it is missing. That of
    a warm pod is made for all connectors of its pool's template."""
    is_sidecar_pools: bool
    """True if its pool's pods have a sidecar, whatever the agent names itself."""
    has_authority: bool
    """True if the control server's authority is known, which the sidecar needs."""
    reserved_secret: tuple[str, str] | None
    """A Secret that the agent names although a Connector uses it, and that Connector."""
    allowances: tuple[Allowance, ...]
    """How long its pods may still run, by each quota that says so."""
    refused_share: RefusedShare | None
    """What its running pod could not be given of its node."""
    settings: Settings
    spec_hash: str
    pod_hash: str
    now: datetime

    @property
    def wants_sidecar(self) -> bool:
        """True if a pod that were made now would have a sidecar: for connectors, or for a quota that limits calls."""
        return self.is_sidecar_pools or bool(self.agent.spec.connectors) or has_call_limits(self.quotas)

    @property
    def is_node_gone(self) -> bool:
        """True if the pod's node does not exist: not for a young pod, whose node may be as new as it is."""
        if self.is_node_known or self.pod is None:
            return False
        return self.age_of(self.pod) > NODE_SECONDS

    def age_of(self, pod: Pod) -> float:
        """Return the seconds since `pod` was made."""
        return (self.now - datetime.fromisoformat(pod.created)).total_seconds()

    @property
    def is_new_run(self) -> bool:
        """True if the agent's own fields changed since the status was written: counts and clocks start anew."""
        return self.agent.status.spec_hash != self.spec_hash

    @property
    def failures(self) -> int:
        """Failed pods of this run that the status has counted."""
        return 0 if self.is_new_run else self.agent.status.failures

    def is_counted(self, pod: Pod) -> bool:
        """Return True if the status has counted this failed pod."""
        last = self.agent.status.last_failure
        return last is not None and last.pod_uid == pod.meta.uid and not self.is_new_run

    def failures_with(self, pod: Pod) -> int:
        """Return the failures in a row once `pod` is counted: one, if it ran well for long before it failed."""
        ended = pod.exit.time if pod.exit else ""
        if ended and pod.started:
            ran = datetime.fromisoformat(ended) - datetime.fromisoformat(pod.started)
            if ran.total_seconds() > 2 * self.agent.spec.backoff.max_delay and self.agent.spec.mode is Mode.SERVICE:
                return 1
        return self.failures + 1

    @property
    def started_at(self) -> datetime | None:
        """When this run began, from which its execution time counts."""
        status = self.agent.status
        if not self.is_new_run and status.started_at:
            return status.started_at
        if self.own_pod and self.own_pod.started and not self.is_pod_of_old_run:
            return datetime.fromisoformat(self.own_pod.started)
        return None

    @property
    def own_pod(self) -> Pod | None:
        """The pod, if it is this agent's and not a namesake's."""
        return self.pod if self.pod and self.pod.owner_uid == self.agent.metadata.uid else None

    @property
    def is_made_unreadably(self) -> bool:
        """True if the agent's pod comes from a pool, and what it was made from cannot be told."""
        return self.given.spec.pool_ref is not None and is_unreadable(self.own_pod)

    @property
    def memory_limit(self) -> EffectiveValue | None:
        """The memory limit that the agent's pod has, and who set it; None without a pod."""
        return memory_limit(self.agent.status, self.effective, self.own_pod) if self.own_pod else None

    @property
    def is_pod_of_old_run(self) -> bool:
        """True if the pod was made from other fields of the agent than it has now."""
        return self.pod is not None and self.pod.spec_hash.partition(".")[0] != self.spec_hash

    @property
    def sidecar_lacks(self) -> str:
        """What the pod's sidecar was made with that it would not be made with now, as a sentence; or nothing."""
        pod, wanted = self.own_pod, self.sidecar
        if pod is None or wanted is None or not pod.sidecar_hash or pod.sidecar_hash == wanted.hash:
            return ""
        if pod.sidecar_image != wanted.image:
            return f"the sidecar runs {pod.sidecar_image}, and the operator has {wanted.image} now"
        return "the sidecar was made with another Secret, another control server, or by another version of the operator"

    @property
    def seconds_left(self) -> float | None:
        """What remains of the execution time, or None without a deadline."""
        deadline = self.effective.deadline
        if deadline is None:
            return None
        began = self.started_at
        return float(deadline.value) if began is None else deadline.value - (self.now - began).total_seconds()

    @property
    def retry_at(self) -> datetime | None:
        """When a failed pod may be replaced, or None if none has failed."""
        status = self.agent.status
        if self.is_new_run or status.last_failure is None or not status.failures:
            return None
        backoff = self.agent.spec.backoff
        delay = min(backoff.max_delay, backoff.initial_delay * 2 ** min(status.failures - 1, 30))
        return status.last_failure.time + timedelta(seconds=delay)


def build_context(agent: Agent, view: View, *, now: datetime, is_missed: bool = False) -> Context:
    """Collect what is known about `agent`; `is_missed`: its pool has no warm pod, so that one is made for it."""
    given, (namespace, name) = agent, agent.key
    pod = view.pods.get(namespace, name)
    own = pod if pod is not None and pod.owner_uid == agent.metadata.uid else None
    template = template_of(agent, own, view)
    agent = with_template(agent, template) if template else agent
    policy, missing = view.policy_of(agent)
    around = view.surroundings(agent)
    claim = claim_name(agent)
    found = bindings(agent, view) if agent.spec.connectors else Bindings()
    quotas = quotas_of(agent, view)
    wants_sidecar = bool(agent.spec.connectors) or has_call_limits(quotas)
    holds = effective(agent, policy, view.settings, around, caps_of(quotas), deciding=deciding(quotas))
    template_policy, not_warm, is_cold = policy, None, False
    mounted = pool_bindings(template, namespace, view) if template else Bindings()
    if template is not None:
        template_policy = view.policy_of(with_template_policy(agent, template))[0]
        warm = holds
        if template_policy is not policy:
            warm = effective(agent, template_policy, view.settings, around, caps_of(quotas), deciding=deciding(quotas))
        not_warm = why_not_warm(Ask(given, policy, template, warm, wants_sidecar, mounted.missing))
        wants_cold = is_missed or (given.spec.on_miss is OnMiss.COLD and not_warm is not None)
        is_cold = not own.claimed if own else wants_cold
        if is_cold:
            agent = confined_at_least(agent, given.spec.isolation)
            holds = effective(agent, policy, view.settings, around)
            has_root = warm.is_root_read_only.value or holds.is_root_read_only.value
            asks = filled(policy, template_policy, is_root_read_only=has_root)
            holds = effective(agent, asks, view.settings, around, caps_of(quotas), deciding=deciding(quotas))
        else:
            # What the pod was made with is the pool's policy's; how long it may run, the agent's own says.
            holds = replace(warm, deadline=holds.deadline)
    is_sidecar_pools = template is not None and not is_cold and bool(template.connectors)
    has_limits = has_call_limits(quotas)
    return Context(
        agent=agent,
        given=given,
        pool=pool_of(given, view),
        template=template,
        policy=policy,
        missing_policy=missing,
        template_policy=template_policy,
        not_warm=not_warm,
        is_cold=is_cold,
        effective=holds,
        pod=pod,
        claim=view.claims.get(namespace, claim) if claim else None,
        is_node_known=pod is None or not pod.node or view.nodes.get("", pod.node) is not None,
        network=view.network.verdict if view.settings.probe_image else None,
        gateway_address=view.name_server(policy) if policy else None,
        rivals=tuple(sorted(view.rivals(agent))),
        runtime_classes=around.runtime_classes,
        quotas=quotas,
        missing_quota=missing_quota(agent, view),
        bindings=found,
        sidecar=sidecar_of(mounted if is_sidecar_pools else found, view, has_call_limits=has_limits),
        is_sidecar_pools=is_sidecar_pools,
        has_authority=bool(view.control.authority),
        reserved_secret=reserved_secret(namespace, secrets_of(agent), view),
        allowances=allowances(agent, own, quotas, view.run_times, now),
        refused_share=view.refused_shares.get(agent.key),
        settings=view.settings,
        spec_hash=spec_hash(given),
        pod_hash=pod_hash(given, policy),
        now=now,
    )
