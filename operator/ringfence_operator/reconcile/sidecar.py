"""What an agent's sidecar is to have, told to the control process."""

from collections.abc import Callable, Mapping
from typing import Any

from ringfence_operator.api.agent_cache import AgentCache
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.reconcile.binding import services_of
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.decide import Decision
from ringfence_operator.reconcile.pool_checks import is_looser
from ringfence_operator.reconcile.quotas import share_among
from ringfence_operator.reconcile.sidecars import Sidecars, Ways
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.sidecar_configuration import Bound, build_sidecar_configuration
from ringfence_operator.resources.sidecar_limits import build_limits, build_others

SharedCache = Callable[[str], Mapping[str, Any] | None]
"""Returns a namespace's shared cache, with its credentials, as the sidecar decodes it; None without one."""
Telemetry = Callable[[], Mapping[str, Any]]
"""Returns where audit lines and traces go, with the credentials for it, as the sidecar decodes it."""


def publish_sidecar(
    context: Context,
    decision: Decision,
    view: View,
    *,
    sidecars: Sidecars,
    ways: Ways | None,
    shared: SharedCache,
    telemetry: Telemetry,
) -> None:
    """Have the sidecar of the agent's pod served what the agent may use now; nothing, if it may have no pod at all."""
    pod = context.own_pod
    if pod is None or not pod.sidecar_hash or context.is_pod_of_old_run:
        return
    if decision.is_refused:
        sidecars.withdraw(pod.meta.uid)
    elif pod.address:
        bound = [
            Bound(connector=each, services=services_of(each, view), way=ways.way(each) if ways else None)
            for each in context.bindings.bound
        ]
        redis = shared(context.agent.metadata.namespace)
        held = [(quota, share_among(quota, view)) for quota in context.quotas]
        configuration = build_sidecar_configuration(
            context.agent,
            bound,
            policy=_policy_served(context),
            redis=redis,
            telemetry=telemetry(),
            limits=build_limits(held, missing=context.missing_quota),
            others=build_others(context.quotas),
        )
        sidecars.publish(pod.meta.uid, pod.address, configuration)


def _policy_served(context: Context) -> SecurityPolicy | None:
    """Return the policy whose cache the sidecar has: while it is looser than the pool's, one without values."""
    policy = context.policy or context.template_policy
    if policy is None or not is_looser(context):
        return context.policy
    # By the sidecar agents share values whatever their network lets through: closing that is not enough.
    most = context.template_policy.spec.cache if context.template_policy else AgentCache()
    cache = most.model_copy(update={"values": most.values.model_copy(update={"enabled": False})})
    return policy.model_copy(update={"spec": policy.spec.model_copy(update={"cache": cache})})
