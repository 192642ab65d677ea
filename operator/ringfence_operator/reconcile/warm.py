"""Why an agent cannot have a warm pod: what it asks for, such a pod would have to be made with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import PoolTemplate
from ringfence_operator.api.agent_status import Source
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.api.sidecar import API_PORT, HEALTH_PORT, SidecarUpdate
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.resources.effective import Effective, at_least
from ringfence_operator.resources.pod import restart_policy
from ringfence_operator.resources.strictness import pod_lacks


@dataclass(frozen=True, slots=True)
class Ask:
    """What an agent asks for, and what the pool's pods have."""

    agent: Agent
    """As its author wrote it."""
    policy: SecurityPolicy | None
    """Its own."""
    template: PoolTemplate
    pod: Effective
    """What holds for the pool's pods, and the agent's quotas in them."""
    wants_sidecar: bool
    """True if a quota limits calls, or the agent names connectors."""
    missing_connectors: tuple[str, ...] = ()
    """Connectors that the template names and that are not there."""


def why_not_warm(ask: Ask) -> Refusal | None:
    """Return why no pod of the pool can be the agent's."""
    return next((found for check in _CHECKS if (found := check(ask))), None)


def _isolation(ask: Ask) -> Refusal | None:
    wanted, has = ask.agent.spec.isolation, ask.pod.isolation.value
    if at_least(has, wanted):
        return None
    message = f"the pool's pods have isolation {has}, and the agent asks for {wanted}"
    return Refusal(Reason.POOL_ISOLATION_WEAKER, f"{message}: write isolation: {has}, or name another pool")


def _restarts(ask: Ask) -> Refusal | None:
    """A pod's restartPolicy is for life."""
    wanted, has = restart_policy(ask.agent), ask.template.restart_policy
    if wanted == has:
        return None
    whose = f"mode {ask.agent.spec.mode}" if ask.agent.spec.restart_policy is None else "the agent's restartPolicy"
    message = f"the pool's pods have restartPolicy {has}, and {whose} needs {wanted}"
    return Refusal(
        Reason.POOL_RESTARTS_OTHERWISE,
        f"{message}: write restartPolicy: {wanted} in spec.template of the AgentPool, or name another pool",
    )


def _policy(ask: Ask) -> Refusal | None:
    lacks = pod_lacks(ask.policy, ask.pod)
    if not lacks or ask.policy is None:
        return None
    message = f"SecurityPolicy {ask.policy.metadata.name} asks for {lacks}, which the pool's pods do not keep"
    return Refusal(
        Reason.POOL_POD_WEAKER, f"{message}: have the policy of the pool's template ask for the same, or leave it out"
    )


def _files(ask: Ask) -> Refusal | None:
    """The starter writes them when the container runs: no volume can be given to a pod that has started."""
    if not ask.pod.is_root_read_only.value:
        return None
    writable = [PurePosixPath(path) for path, _ in ask.pod.writable_paths.value]
    for file in ask.agent.spec.files:
        if not any(PurePosixPath(file.path).is_relative_to(each) for each in writable):
            message = f"file {file.path} is in none of the directories that a pod of the pool can write to"
            places = ", ".join(map(str, writable)) or "none"
            return Refusal(Reason.FILE_NOT_WRITABLE, f"{message} ({places}): write it below one of them")
    return None


def _fields(ask: Ask) -> Refusal | None:
    """The API server lets an agent ask for these with `onMiss: Cold` alone."""
    spec = ask.agent.spec
    asked = {
        "workspace": spec.workspace,
        "envFrom": spec.env_from,
        "a variable with valueFrom": any(each.value_from for each in spec.env),
        "priorityClassName": spec.priority_class_name,
        "probes": any((spec.probes.startup, spec.probes.readiness, spec.probes.liveness)),
    }
    found = next((name for name, is_asked in asked.items() if is_asked), None)
    if found is None:
        return None
    message = f"the agent asks for {found}, which no pod that has started can be given: leave it out, or write onMiss: "
    return Refusal(Reason.NOT_GIVEN_WARM, f"{message}Cold")


def _connectors(ask: Ask) -> Refusal | None:
    """A sidecar has the credentials that its pod was made with."""
    named = {each.name for each in ask.template.connectors}
    lacking = sorted(each.name for each in ask.agent.spec.connectors if each.name not in named)
    if lacking:
        message = f"Connector {', '.join(lacking)} is none of those that the pool's pods have a sidecar for"
        return Refusal(
            Reason.NOT_GIVEN_WARM,
            f"{message}: write it in spec.template.connectors of the AgentPool, leave it out, or write onMiss: Cold",
        )
    if ask.missing_connectors:
        message = f"Connector {', '.join(ask.missing_connectors)}, which the pool's template names, does not exist"
        return Refusal(
            Reason.CONNECTOR_NOT_FOUND,
            f"{message}: create it, or leave it out of spec.template.connectors",
            is_stalled=False,
        )
    if ask.template.connectors and ask.agent.spec.sidecar.update is SidecarUpdate.IMMEDIATELY:
        message = (
            "the agent asks for sidecar.update: Immediately, and a warm pod's sidecar may be of an earlier version"
        )
        return Refusal(Reason.NOT_GIVEN_WARM, f"{message}: write OnReplacement, or onMiss: Cold")
    return None


def _ports(ask: Ask) -> Refusal | None:
    """The API server knows of the sidecar of an agent that names connectors itself."""
    taken = [each.name for each in ask.agent.spec.ports if each.port in (API_PORT, HEALTH_PORT)]
    if not ask.template.connectors or not taken:
        return None
    message = f"the pool's pods have a sidecar with ports {API_PORT} and {HEALTH_PORT}"
    return Refusal(Reason.PORT_RESERVED, f"{message}: write another port for {', '.join(taken)}")


def _quotas(ask: Ask) -> Refusal | None:
    """What a quota limits and a pod cannot be given in place, no pod of a pool can have."""
    disk, bandwidth = ask.pod.limits["ephemeral-storage"], ask.pod.bandwidth
    if disk.source is Source.QUOTA:
        what = f"Quota {disk.object} leaves less ephemeralStorage than the pool's pods have"
    elif bandwidth is not None:
        what = f"Quota {bandwidth.object} limits networkBandwidth, which a pod has from its start or not at all"
    elif ask.wants_sidecar and not ask.template.connectors:
        what = "a Quota limits calls, which a sidecar counts, and a pool's pods have one with spec.template.connectors"
    else:
        return None
    return Refusal(
        Reason.NOT_SUPPORTED,
        f"{what}: write onMiss: Cold, leave poolRef out, or have the Quota not hold for this agent",
    )


_CHECKS: tuple[Callable[[Ask], Refusal | None], ...] = (
    *(_isolation, _restarts, _policy, _files, _connectors, _ports, _fields, _quotas),
)
