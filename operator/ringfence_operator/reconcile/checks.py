"""Why an agent may not have a pod: a chain of checks, each a pure function of the context."""

from collections.abc import Callable

from ringfence_operator import labels
from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota_matrix import Enforcement, Enforcer
from ringfence_operator.api.sidecar import API_PORT, HEALTH_PORT
from ringfence_operator.reconcile.cilium import explain_no_dns
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.network_verdict import why_open
from ringfence_operator.reconcile.pool_checks import pool_refusal
from ringfence_operator.reconcile.quotas import limits_of
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.resources.volumes import claim_name, is_adopted

NO_GATEWAY = (
    "this is counted at the egress gateway, and there is none: set RINGFENCE_OPERATOR_EGRESS_BACKEND to envoy, or "
    "leave the limit out; under a Hard one agents get no pod, under enforcement Warn they run, and nobody counts"
)
"""Why nothing keeps limits on bytes and connections, and what to do."""


def _namespace(context: Context) -> Refusal | None:
    namespace = context.agent.metadata.namespace
    if namespace != context.settings.namespace:
        return None
    message = f"namespace {namespace} is the operator's own: create the agent in another namespace"
    return Refusal(Reason.NAMESPACE_RESERVED, message, stops_pod=True)


def _own_labels(context: Context) -> Refusal | None:
    meta = context.agent.metadata
    for kind, given in (("label", meta.labels), ("annotation", meta.annotations)):
        for key in given:
            if labels.is_ours(key):
                message = f"{kind} {key} is under {labels.GROUP}/, which is the operator's: remove it"
                return Refusal(Reason.LABEL_RESERVED, message, stops_pod=True)
    return None


def _isolation(context: Context) -> Refusal | None:
    asked, floor = context.agent.spec.isolation, context.settings.minimum_isolation
    if asked is not Isolation.NONE or floor is Isolation.NONE:
        return None
    message = f"isolation None is not allowed in this cluster: write {floor.value} or a stricter level"
    return Refusal(Reason.ISOLATION_NOT_ALLOWED, message, stops_pod=True)


def _network(context: Context) -> Refusal | None:
    """Whoever runs already goes on meanwhile: what closes its pod is as good as it was."""
    settings = context.settings
    if context.effective.isolation.value is Isolation.NONE or settings.allow_unenforced_network:
        return None
    if context.network is not None:
        message = why_open(context.network)
        return Refusal(Reason.NETWORK_NOT_ENFORCED, message) if message else None
    if settings.probe_image is None or context.own_pod:
        return None
    message = f"whether the cluster enforces NetworkPolicies is being found out by pod {labels.NETWORK_PROBE}"
    return Refusal(Reason.NETWORK_UNVERIFIED, f"{message} of namespace {settings.namespace}", is_stalled=False)


def _policy(context: Context) -> Refusal | None:
    if context.missing_policy is None:
        return None
    message = f"SecurityPolicy {context.missing_policy} does not exist: create it, or name another one"
    return Refusal(Reason.POLICY_NOT_FOUND, message, is_stalled=False)


def _quota(context: Context) -> Refusal | None:
    """Whoever runs already goes on, and its calls are refused."""
    if context.missing_quota is None:
        return None
    message = f"Quota {context.missing_quota} does not exist: create it, or name another one, or leave quotaRef out"
    return Refusal(Reason.QUOTA_NOT_FOUND, message, is_stalled=False)


def _port_set(context: Context) -> Refusal | None:
    """A pod cannot be given its name server later, so it waits for the one of its policy."""
    policy = context.policy
    if policy is None or context.gateway_address or context.own_pod or context.settings.egress_backend == "none":
        return None
    if context.effective.isolation.value is Isolation.NONE:
        return None
    if context.settings.egress_backend == "cilium":
        return Refusal(Reason.SERVICE_NOT_FOUND, explain_no_dns(context.settings.dns_service), is_stalled=False)
    message = f"SecurityPolicy {policy.metadata.name} has no port set on the egress gateway yet; its status says why"
    return Refusal(Reason.GATEWAY_PENDING, message, is_stalled=False)


def _secret(context: Context) -> Refusal | None:
    if context.reserved_secret is None:
        return None
    secret, connector = context.reserved_secret
    message = (
        f"Secret {secret} is the credential of Connector {connector}, which only sidecars may have: leave it out of "
        "env, envFrom and imagePullSecrets, and name the connector under spec.connectors"
    )
    return Refusal(Reason.SECRET_RESERVED, message, stops_pod=True)


def _connectors(context: Context) -> Refusal | None:
    found = context.bindings
    if found.missing:
        message = f"Connector {', '.join(found.missing)} does not exist: create it, or leave it out of spec.connectors"
        return Refusal(Reason.CONNECTOR_NOT_FOUND, message, is_stalled=False)
    if found.refused:
        message = (
            f"agentSelector of Connector {', '.join(found.refused)} does not match the labels of this agent: "
            "label the Agent so, or leave the connector out of spec.connectors"
        )
        return Refusal(Reason.CONNECTOR_NOT_PERMITTED, message)
    return None


def _sidecar(context: Context) -> Refusal | None:
    """One that runs goes on: what it was made with it has."""
    if not context.wants_sidecar or context.own_pod:
        return None
    taken = [each.name for each in context.agent.spec.ports if each.port in (API_PORT, HEALTH_PORT)]
    if taken:
        message = (
            f"a Quota limits calls, so the agent has a sidecar with ports {API_PORT} and {HEALTH_PORT}: "
            f"write another port for {', '.join(taken)}"
        )
        return Refusal(Reason.PORT_RESERVED, message)
    if context.sidecar and context.has_authority:
        return None
    if not context.settings.sidecar_image:
        message = (
            "connectors and limits on calls need a sidecar: start the operator with RINGFENCE_OPERATOR_SIDECAR_IMAGE"
        )
        return Refusal(Reason.SIDECAR_UNAVAILABLE, message)
    message = (
        "the control server is not known yet"
        if context.sidecar
        else f"Service {labels.CONTROL} of namespace {context.settings.namespace} does not exist: apply "
        "deploy/operator.yaml"
    )
    return Refusal(Reason.SIDECAR_UNAVAILABLE, message, is_stalled=False)


def _bandwidth(context: Context) -> Refusal | None:
    """Nobody can ask a network plug-in whether it heeds the annotation, so whoever installs the operator says so."""
    limit = context.effective.bandwidth
    if limit is None or context.settings.bandwidth_annotations:
        return None
    return Refusal(Reason.NOT_SUPPORTED, why_no_bandwidth(limit.object), is_stalled=False)


def why_no_bandwidth(quota: str) -> str:
    """Return why a limit on bandwidth is not kept, and what to do."""
    return (
        f"Quota {quota} limits networkBandwidth, and nobody has said that the network plug-in heeds the annotations "
        "kubernetes.io/ingress-bandwidth and egress-bandwidth: if it does, start the operator with "
        "RINGFENCE_OPERATOR_BANDWIDTH_ANNOTATIONS=true, else leave the limit out"
    )


def _network_limits(context: Context) -> Refusal | None:
    """Who would run without anybody counting what a Hard limit is about does not run."""
    held = limits_of(context.quotas, Enforcer.GATEWAY)
    hard = next((it for it in held if it[1].enforcement is Enforcement.HARD), None)
    if hard is None:
        return None
    quota, limit = hard
    whose = f"{limit.resource} of Quota {quota.metadata.name}"
    if context.settings.egress_backend != "envoy":
        return Refusal(Reason.NOT_SUPPORTED, f"{whose}: {NO_GATEWAY}")
    if context.effective.isolation.value is not Isolation.NONE:
        return None
    message = (
        f"isolation None leads nothing through the egress gateway, where {whose} is counted: write isolation Basic or "
        f"a stricter level, have the Quota not hold for this agent, or write enforcement Warn into the limit"
    )
    return Refusal(Reason.NOT_SUPPORTED, message)


def _runtime_class(context: Context) -> Refusal | None:
    named = context.policy.spec.runtime_class_name if context.policy else None
    if named and named not in context.runtime_classes:
        message = f"RuntimeClass {named}, which the SecurityPolicy names, does not exist in this cluster"
        return Refusal(Reason.RUNTIME_CLASS_NOT_FOUND, message)
    if context.effective.isolation.value is Isolation.SECURE and context.effective.runtime_class is None:
        known = ", ".join(context.settings.sandboxed_runtime_classes)
        message = f"isolation Secure needs one of the RuntimeClasses {known}: install one, or write Container"
        return Refusal(Reason.RUNTIME_CLASS_NOT_FOUND, message)
    return None


def _deadline(context: Context) -> Refusal | None:
    if context.effective.isolation.value is not Isolation.SECURE or context.effective.deadline is not None:
        return None
    message = "isolation Secure needs a deadline: write maxExecutionTime, such as 1h, in the agent or its policy"
    return Refusal(Reason.DEADLINE_REQUIRED, message)


def _workspace(context: Context) -> Refusal | None:
    """An agent that shares its claim waits, unless it holds it already."""
    agent = context.agent
    name = claim_name(agent)
    if name is None:
        return None
    claim = context.claim
    if is_adopted(agent) and (claim is None or claim.owner_uid) and context.own_pod is None:
        message = f"claim {name} is not a workspace that an agent left behind: name one with reclaimPolicy Retain"
        return Refusal(Reason.WORKSPACE_NOT_FOUND, message, is_stalled=False)
    if claim is not None and claim.is_deleting and context.own_pod is None:
        message = f"claim {name} is being deleted; another one follows once it is gone"
        return Refusal(Reason.WORKSPACE_IN_USE, message, is_stalled=False)
    if claim is not None and not is_adopted(agent) and claim.agent_uid != agent.metadata.uid:
        message = f"claim {name} is an earlier agent's: write workspace.claimName: {name} to adopt it, or delete it"
        return Refusal(Reason.WORKSPACE_EXISTS, message)
    if context.rivals and context.own_pod is None:
        message = (
            f"claim {name} is used by agent {', '.join(context.rivals[:5])}: give each agent a workspace of its own"
        )
        return Refusal(Reason.WORKSPACE_IN_USE, message, is_stalled=False)
    return None


CHECKS: tuple[Callable[[Context], Refusal | None], ...] = (
    _namespace,
    _own_labels,
    _isolation,
    pool_refusal,
    _secret,
    _network,
    _policy,
    _quota,
    _connectors,
    _sidecar,
    _port_set,
    _bandwidth,
    _network_limits,
    _runtime_class,
    _deadline,
    _workspace,
)


def refusal(context: Context) -> Refusal | None:
    """Return the first reason why the agent may not have a pod, or None."""
    return next((found for check in CHECKS if (found := check(context))), None)
