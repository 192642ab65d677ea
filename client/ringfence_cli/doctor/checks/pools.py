"""Pools: which of them cannot be filled, and for which agents wait."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ringfence_cli.doctor.checks.objects import check_each, judge_ready
from ringfence_cli.doctor.facts import Facts
from ringfence_cli.doctor.finding import Finding, broken, warning
from ringfence_kube.objects import Raw, condition, full_name, is_true, name_of, namespace_of, status_of

_FIXES = {
    "PolicyNotFound": "create the SecurityPolicy, or name one that exists in spec.template.securityPolicyRef",
    "ImageNotFound": "name an image that exists in spec.template, and imagePullSecrets that open its registry",
    "ConfigNotFound": "create the Secret, ConfigMap or key of spec.template.env that the message names",
    "Unschedulable": "make room on a node, or ask for less in spec.template.resources.requests",
    "StarterUnavailable": "do what the message says: without its starter no pod of a pool can be handed over",
    "StarterFailed": "do what the message says: until its starter runs no pod of a pool is warm",
    "SecretReserved": "take the Secret out of spec.template: all that runs in the pool's pods could read it",
    "PoolEmpty": "see its pods: kubectl get pods -l ringfence.dev/pool=NAME",
}
"""Where a pool's own advice differs from that for agents, whose fields have other places."""


def check_pools(facts: Facts) -> Iterator[Finding]:
    """Pools can be filled, and nobody waits for one that is not to be."""
    waiting = Counter(each for agent in facts.agents.value if (each := _waits_for(agent)))

    def judge(pool: Raw, now: datetime) -> Finding | None:
        return _pool(pool, now, waiting)

    return check_each("AgentPool", facts.pools, facts.now, judge)


def _waits_for(agent: Raw) -> tuple[str, str] | None:
    """Return the pool whose next warm pod the agent takes, if it waits for one."""
    ready, ref = condition(agent, "Ready") or {}, agent["spec"].get("poolRef")
    if not ref or ready.get("reason") != "NoWarmPod" or condition(agent, "Complete") or is_true(agent, "Stalled"):
        return None
    return namespace_of(agent), str(ref["name"])


def _pool(pool: Raw, now: datetime, waiting: Mapping[tuple[str, str], int]) -> Finding | None:
    namespace, name = key = namespace_of(pool), name_of(pool)
    waits = f", and agents wait for a pod of it: {waiting[key]}" if waiting[key] else ""
    found = judge_ready(pool, now)
    if found is not None:
        reason = (condition(pool, "Ready") or {}).get("reason", "")
        fix = _FIXES.get(reason, found.fix).replace("NAME", name)
        return replace(found, sentence=f"{found.sentence}{waits}", fix=fix)
    if waits and pool["spec"].get("size", 1) == 0:
        fix = f"kubectl -n {namespace} scale agentpool {name} --replicas={waiting[key]}"
        return broken(f"{full_name(pool)} has size 0{waits}", fix)
    failed = status_of(pool).get("failed", 0)
    if failed:
        listed = f"kubectl -n {namespace} get pods -l 'ringfence.dev/pool={name},!ringfence.dev/agent'"
        return warning(f"{full_name(pool)}: pods that have failed, or cannot start: {failed}", listed)
    return None
