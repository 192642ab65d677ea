"""Why an agent may not have a pod of its pool, or a pool none at all."""

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.binding import control_address, pool_bindings, reserved_secret
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.pool import member
from ringfence_operator.resources.record import secrets_of
from ringfence_operator.resources.strictness import looser, pod_looser


def pool_refusal(context: Context) -> Refusal | None:
    """Return why the agent may not have a pod of the pool that it names; None of one that names none."""
    ref = context.given.spec.pool_ref
    if ref is None:
        return None
    if context.template is None or (context.pool is None and context.own_pod is None):
        message = f"AgentPool {ref.name} does not exist: create it, or name another one"
        return Refusal(Reason.POOL_NOT_FOUND, message, is_stalled=False)
    if found := _policy(context):
        return found
    # One that runs goes on: what it asks for besides is the next pod's.
    return None if context.own_pod or context.is_cold else context.not_warm


def _policy(context: Context) -> Refusal | None:
    """The agent's policy is as strict as the one of the template, or stricter, or one that the pool allows by name."""
    own, pod = context.policy, context.own_pod
    is_told = not context.is_made_unreadably
    if context.missing_policy is not None or (own is context.template_policy and is_told):
        return None
    ref = context.given.spec.security_policy_ref
    named = context.template.security_policy_ref if context.template else None
    is_lost = named is not None and context.template_policy is None
    makes_one = context.is_cold and pod is None
    if ref and context.pool and ref.name in context.pool.spec.allowed_policies and not (is_lost and makes_one):
        return None
    if not is_told:
        message = "what the agent's pod was made from cannot be read, so its policy counts as looser: delete the pod"
        return Refusal(Reason.POOL_POLICY_LOOSER, message)
    if context.pool is None and pod and pod.labels.get(labels.POLICY, "") == (ref.name if ref else ""):
        # Nobody says any more what the pool allowed: what it has been given it keeps.
        return None
    if named is not None and is_lost:
        message = f"SecurityPolicy {named.name}, which the pool's template names, does not exist: create it"
        return Refusal(Reason.POLICY_NOT_FOUND, message, is_stalled=False)
    return _looser(context)


def _looser(context: Context) -> Refusal | None:
    own, than = context.policy, context.template_policy
    more = looser(own, than)
    if context.is_cold and not more:
        # A warm pod keeps what the pool's policy asks of it, or is none for the agent.
        more = pod_looser(own, than, is_root_read_only=context.effective.is_root_read_only.value)
    if not more:
        return None
    whose = (
        f"SecurityPolicy {than.metadata.name} of the pool's template" if than else "the pool's template, without one,"
    )
    name = own.metadata.name if own else ""
    message = f"SecurityPolicy {name} is looser than {whose} allows" if own else f"{whose} is stricter than none"
    return Refusal(
        Reason.POOL_POLICY_LOOSER,
        f"{message}: {more}; name a stricter one, or have spec.allowedPolicies of the AgentPool name it",
    )


def is_looser(context: Context) -> bool:
    """Return True if the agent's pod runs and is to reach nothing meanwhile: its policy opens more than it may."""
    comes_from_pool = context.template is not None or context.is_made_unreadably
    return comes_from_pool and context.own_pod is not None and _policy(context) is not None


def refusal_of_pool(pool: AgentPool, effective: Effective, view: View) -> Refusal | None:
    """Return why the pool may have no pods."""
    namespace, settings = pool.metadata.namespace, view.settings
    if namespace == settings.namespace:
        message = f"namespace {namespace} is the operator's own: create the pool in another namespace"
        return Refusal(Reason.NAMESPACE_RESERVED, message)
    for kind, given in (("label", pool.metadata.labels), ("annotation", pool.metadata.annotations)):
        for key in given:
            if labels.is_ours(key):
                message = f"{kind} {key} is under {labels.GROUP}/, which is the operator's: remove it"
                return Refusal(Reason.LABEL_RESERVED, message)
    found = _secret_of_pool(pool, view) or _policy_of_pool(pool, effective, view)
    return found or _connectors_of_pool(pool, view) or _starter(view)


def _connectors_of_pool(pool: AgentPool, view: View) -> Refusal | None:
    if not pool.spec.template.connectors:
        return None
    if missing := pool_bindings(pool.spec.template, pool.metadata.namespace, view).missing:
        message = f"Connector {', '.join(missing)} does not exist: create it, or leave it out of spec.template"
        return Refusal(Reason.CONNECTOR_NOT_FOUND, message, is_stalled=False)
    if not view.settings.sidecar_image:
        message = "connectors need a sidecar: start the operator with RINGFENCE_OPERATOR_SIDECAR_IMAGE"
        return Refusal(Reason.SIDECAR_UNAVAILABLE, message)
    return None


def _secret_of_pool(pool: AgentPool, view: View) -> Refusal | None:
    found = reserved_secret(pool.metadata.namespace, secrets_of(member(pool)), view)
    if found is None:
        return None
    message = f"Secret {found[0]} is the credential of Connector {found[1]}, which only sidecars may have"
    return Refusal(Reason.SECRET_RESERVED, f"{message}: leave it out of spec.template")


def _policy_of_pool(pool: AgentPool, effective: Effective, view: View) -> Refusal | None:
    policy, missing = view.policy_of(member(pool))
    if missing is not None:
        message = f"SecurityPolicy {missing} does not exist: create it, or name another one in spec.template"
        return Refusal(Reason.POLICY_NOT_FOUND, message, is_stalled=False)
    named = policy.spec.runtime_class_name if policy else None
    known = {name for _, name in view.runtime_classes.cache}
    if named and named not in known:
        message = f"RuntimeClass {named}, which the SecurityPolicy names, does not exist in this cluster"
        return Refusal(Reason.RUNTIME_CLASS_NOT_FOUND, message)
    if effective.isolation.value == "Secure" and effective.runtime_class is None:
        wanted = ", ".join(view.settings.sandboxed_runtime_classes)
        message = f"isolation Secure needs one of the RuntimeClasses {wanted}: install one, or write Container"
        return Refusal(Reason.RUNTIME_CLASS_NOT_FOUND, message)
    return None


def _starter(view: View) -> Refusal | None:
    if not view.settings.starter_image:
        message = "a pool's pods need a starter: start the operator with RINGFENCE_OPERATOR_STARTER_IMAGE"
        return Refusal(Reason.STARTER_UNAVAILABLE, message)
    if not control_address(view):
        message = f"Service {labels.CONTROL} of namespace {view.settings.namespace} does not exist"
        return Refusal(Reason.STARTER_UNAVAILABLE, f"{message}: apply deploy/operator.yaml", is_stalled=False)
    if not view.control.authority:
        return Refusal(Reason.STARTER_UNAVAILABLE, "the control server is not known yet", is_stalled=False)
    return None
