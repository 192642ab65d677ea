"""Why an agent may not have a pod of its pool, or a pool none at all."""

from pathlib import PurePosixPath

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.agent_status import Source
from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.binding import control_address, reserved_secret
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.effective import Effective, at_least
from ringfence_operator.resources.pool import member
from ringfence_operator.resources.record import secrets_of


def pool_refusal(context: Context) -> Refusal | None:
    """Return why the agent may not have a pod of the pool that it names; None of one that names none."""
    ref = context.given.spec.pool_ref
    if ref is None:
        return None
    if context.template is None or (context.pool is None and context.own_pod is None):
        message = f"AgentPool {ref.name} does not exist: create it, or name another one"
        return Refusal(Reason.POOL_NOT_FOUND, message, is_stalled=False)
    # One that runs goes on: what the others ask for is the next pod's.
    checks = (_policy,) if context.own_pod else (_policy, _isolation, _files, _quotas)
    return next((found for check in checks if (found := check(context))), None)


def _policy(context: Context) -> Refusal | None:
    own, shared = context.given.spec.security_policy_ref, context.agent.spec.security_policy_ref
    if own == shared:
        return None
    wanted = f"write securityPolicyRef: {{name: {shared.name}}}" if shared else "leave securityPolicyRef out"
    message = f"agents from a pool are under the SecurityPolicy of its template: {wanted}, or name another pool"
    return Refusal(Reason.POOL_POLICY_DIFFERS, message)


def _isolation(context: Context) -> Refusal | None:
    wanted, has = context.given.spec.isolation, context.effective.isolation.value
    if at_least(has, wanted):
        return None
    message = f"the pool's pods have isolation {has}, and the agent asks for {wanted}"
    return Refusal(Reason.POOL_ISOLATION_WEAKER, f"{message}: write isolation: {has}, or name another pool")


def _files(context: Context) -> Refusal | None:
    """The starter writes them when the container runs: no volume can be given to a pod that has started."""
    if not context.effective.is_root_read_only.value:
        return None
    writable = [PurePosixPath(path) for path, _ in context.effective.writable_paths.value]
    for file in context.given.spec.files:
        if not any(PurePosixPath(file.path).is_relative_to(each) for each in writable):
            message = f"file {file.path} is in none of the directories that a pod of the pool can write to"
            places = ", ".join(map(str, writable)) or "none"
            return Refusal(Reason.FILE_NOT_WRITABLE, f"{message} ({places}): write it below one of them")
    return None


def _quotas(context: Context) -> Refusal | None:
    """What a quota limits and a pod cannot be given in place, no pod of a pool can have."""
    disk, bandwidth = context.effective.limits["ephemeral-storage"], context.effective.bandwidth
    if disk.source is Source.QUOTA:
        what = f"Quota {disk.object} leaves less ephemeralStorage than the pool's pods have"
    elif bandwidth is not None:
        what = f"Quota {bandwidth.object} limits networkBandwidth, which a pod has from its start or not at all"
    elif context.wants_sidecar:
        what = "a Quota limits calls, which a sidecar counts, and the pool's pods have none"
    else:
        return None
    return Refusal(Reason.NOT_SUPPORTED, f"{what}: leave poolRef out, or have the Quota not hold for this agent")


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
    return _secret_of_pool(pool, view) or _policy_of_pool(pool, effective, view) or _starter(view)


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
