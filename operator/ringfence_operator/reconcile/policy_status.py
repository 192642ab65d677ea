"""What a SecurityPolicy's status says: a pure function of what was found."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ringfence_operator.api.conditions import Condition, ConditionType, Reason, remove_condition, set_condition
from ringfence_operator.api.security_policy import GatewayStatus, SecurityPolicy, SecurityPolicyStatus, SeenDomain
from ringfence_operator.reconcile.gateway import Force, Seen, Standing, explain
from ringfence_operator.reconcile.view import BY_POLICY, View, index_by_service
from ringfence_operator.resources.domains import invalid_domains
from ringfence_operator.resources.reserved import is_reserved

MOST_NAMES = 50
MOST_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Found:
    """Where the policy stands on the gateway, and why it has no port set, if it cannot have one."""

    standing: Standing
    refusal: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class _Verdict:
    is_ready: bool
    is_stalled: bool
    reason: Reason
    message: str


def policy_status(
    policy: SecurityPolicy, view: View, found: Found, seen: Seen, *, now: datetime
) -> SecurityPolicyStatus:
    """Return the status of a policy whose NetworkPolicies have just been written."""
    agents = len(view.agents.keys_by(BY_POLICY, policy.key))
    if view.is_cluster_policy(policy):
        agents += sum(1 for agent in view.agents.cache.values() if not agent.policy)
    service = view.port_set(policy)
    before = policy.status
    observed, rarer = merged(before.observed_domains, seen.observed)
    denied, rarer_denied = merged(before.denied_domains, seen.denied)
    return SecurityPolicyStatus(
        observed_generation=policy.metadata.generation,
        conditions=_conditions(policy, view, found, now),
        agents=agents,
        gateway=GatewayStatus(service=service.meta.name, address=service.address, replicas=found.standing.replicas)
        if service
        else None,
        observed_domains=observed,
        observed_others=min(MOST_COUNT, before.observed_others + seen.observed_others + rarer),
        denied_domains=denied,
        denied_others=min(MOST_COUNT, before.denied_others + seen.denied_others + rarer_denied),
    )


def merged(before: Iterable[SeenDomain], fresh: Iterable[SeenDomain]) -> tuple[tuple[SeenDomain, ...], int]:
    """Return both lists as one, the most frequent names first, as many as a status holds, and the count of the rest."""
    found: dict[tuple[str, int], SeenDomain] = {(each.name, each.port): each for each in before}
    for each in fresh:
        had = found.get((each.name, each.port))
        if had:
            last = max(had.last_seen, each.last_seen)
            each = each.model_copy(update={"count": had.count + each.count, "last_seen": last})  # noqa: PLW2901
        found[each.name, each.port] = each
    ranked = sorted(found.values(), key=lambda it: (-it.count, it.name, it.port))
    return tuple(ranked[:MOST_NAMES]), sum(each.count for each in ranked[MOST_NAMES:])


def _conditions(policy: SecurityPolicy, view: View, found: Found, now: datetime) -> tuple[Condition, ...]:
    verdict = _verdict(policy, view, found)
    conditions: tuple[Condition, ...] = policy.status.conditions
    is_moving = not verdict.is_ready and not verdict.is_stalled
    force, sentence = found.refusal or explain(found.standing)
    is_enforced = found.refusal is None and found.standing.force is Force.IN_FORCE
    for kind, status, reason, message in (
        (ConditionType.READY, verdict.is_ready, verdict.reason, verdict.message),
        (ConditionType.RECONCILING, is_moving or None, verdict.reason, verdict.message),
        (ConditionType.STALLED, verdict.is_stalled or None, verdict.reason, verdict.message),
        (ConditionType.ENFORCED, is_enforced if view.has_gateway else None, force, sentence),
    ):
        if status is None:
            conditions = remove_condition(conditions, kind)
        else:
            conditions = set_condition(
                conditions, kind, status, reason, message, now=now, generation=policy.metadata.generation
            )
    return conditions


def _verdict(policy: SecurityPolicy, view: View, found: Found) -> _Verdict:
    mistake = _mistake(policy, view) or found.refusal
    if mistake:
        return _Verdict(False, True, *mistake)
    missing = _missing_services(policy, view)
    if missing:
        message = f"Service {', '.join(missing)} does not exist or has no address or selector: create it"
        return _Verdict(False, False, Reason.SERVICE_NOT_FOUND, message)
    if found.standing.force is not Force.IN_FORCE:
        reason, message = explain(found.standing)
        return _Verdict(False, found.standing.force is Force.REFUSED, reason, message)
    return _Verdict(True, False, Reason.IN_FORCE, "what the policy opens is in force")


def _mistake(policy: SecurityPolicy, view: View) -> tuple[Reason, str] | None:
    """Return what only a change of the policy can mend."""
    closed = _closed_cidrs(policy, view)
    if closed:
        message = (
            f"{', '.join(closed)}: addresses of the cluster, its nodes or link-local ones stay closed; "
            "name pods by selectors under network.destinations instead"
        )
        return Reason.RESERVED_ADDRESS, message
    invalid = invalid_domains(policy)
    if invalid:
        message = f"{', '.join(invalid)}: an xn-- label there stands for no name (RFC 5891): correct it or leave it out"
        return Reason.INVALID_DOMAIN, message
    return None


def _closed_cidrs(policy: SecurityPolicy, view: View) -> list[str]:
    reserved = view.reserved()
    network = policy.spec.network
    given = [each.cidr for each in network.cidrs]
    given += [source.cidr for rule in network.ingress for source in rule.from_ if source.cidr is not None]
    return [cidr for cidr in given if is_reserved(cidr, reserved)]


def _missing_services(policy: SecurityPolicy, view: View) -> list[str]:
    there = view.named_services(policy)
    return [f"{namespace}/{name}" for namespace, name in index_by_service(policy) if (namespace, name) not in there]
