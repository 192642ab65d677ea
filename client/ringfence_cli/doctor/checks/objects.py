"""People's own objects: which of them do not work, and what they say of it."""

from collections.abc import Callable, Iterator
from datetime import datetime

from ringfence_cli.doctor.facts import Facts, Seen
from ringfence_cli.doctor.finding import Finding, Level, broken, ok, unknown, warning
from ringfence_kube.objects import Raw, condition, full_name, is_true, name_of, namespace_of, status_of, time_of

_MOST = 10
"""What is said of one kind; after that, only how many more there are."""
_SETTLING = 120.0
"""Seconds after which something that is on its way is worth a word."""
_UNSEEN = 30.0
"""Seconds in which the operator looks at what is new."""
_BY_ITSELF = frozenset({"Failed", "Crashed", "OutOfMemory", "BackoffLimitExceeded", "DeadlineExceeded", "Evicted"})
"""What the agent's own program brought about: nothing of the installation is broken."""
_PASSING = frozenset({"QuotaExceeded", "Unschedulable", "EndpointsUnhealthy", "SomeEndpointsUnhealthy", "NoWarmPod"})
"""What may end by itself a moment later, although there is something that one can do."""
_FIXES = {
    "PolicyNotFound": "create the SecurityPolicy, or name one that exists in spec.securityPolicyRef",
    "ConnectorNotFound": "create the Connector, or take it out of spec.connectors",
    "ConnectorNotPermitted": "give the Agent the labels of the Connector's agentSelector, or widen that",
    "QuotaNotFound": "create the Quota, or name one that exists in spec.quotaRef",
    "QuotaExceeded": "free something, or raise the limit of the Quota or ResourceQuota that the message names",
    "RuntimeClassNotFound": "install the RuntimeClass, or ask for another isolation",
    "IsolationNotAllowed": "ask for isolation Basic or more",
    "AdmissionRefused": "change what the message names; where the operator lacks rights, see operator-rights",
    "ImageNotFound": "name an image that exists, and imagePullSecrets that open its registry",
    "ConfigNotFound": "create the ConfigMap, Secret or key that the message names",
    "ForeignNetworkPolicy": "write what agents need into their SecurityPolicy, and delete that NetworkPolicy or keep "
    "it from agents: {key: ringfence.dev/agent, operator: DoesNotExist}",
    "SecretNotFound": "create the Secret that the Connector names",
    "EndpointsUnhealthy": "see that the backend runs and the credential is good: status.endpoints says why",
    "SomeEndpointsUnhealthy": "see that the backend runs and the credential is good: status.endpoints says why",
    "Unschedulable": "make room on a node, or ask for less in spec.resources.requests",
    "PoolNotFound": "create the AgentPool, or name one that exists in spec.poolRef",
    "NoWarmPod": "see pools above; a larger spec.size of the AgentPool has a pod for it, and onMiss: Cold starts one",
    "StarterRefused": "delete the agent's pod: the next one starts the command anew",
}


def check_agents(facts: Facts) -> Iterator[Finding]:
    """Agents run."""
    return check_each("Agent", facts.agents, facts.now, _agent)


def check_policies(facts: Facts) -> Iterator[Finding]:
    """SecurityPolicies are in force."""
    return check_each("SecurityPolicy", facts.policies, facts.now, judge_ready)


def check_connectors(facts: Facts) -> Iterator[Finding]:
    """Connectors reach what they stand for."""
    return check_each("Connector", facts.connectors, facts.now, judge_ready)


def check_quotas(facts: Facts) -> Iterator[Finding]:
    """Quotas are kept."""
    return check_each("Quota", facts.quotas, facts.now, judge_ready)


def check_each(
    kind: str, seen: Seen[list[Raw]], now: datetime, judge: Callable[[Raw, datetime], Finding | None]
) -> Iterator[Finding]:
    """Yield what `judge` says of the objects of a kind, the worst first, or that all of them are well."""
    if not seen.is_known:
        yield unknown(f"what becomes of each {kind}", seen.hindrance)
        return
    bad = [finding for each in seen.value if (finding := _unseen(each, now) or judge(each, now))]
    bad.sort(key=lambda each: each.level is not Level.BROKEN)
    yield from bad[:_MOST]
    if len(bad) > _MOST:
        yield Finding(bad[_MOST].level, f"and {len(bad) - _MOST} more of this kind", "ringfence get")
    if not bad:
        yield ok(f"{len(seen.value)} of kind {kind}, all well" if seen.value else f"no {kind} yet")


def _unseen(found: Raw, now: datetime) -> Finding | None:
    """Return that the operator does not look at the object, if it had time to."""
    since = (now - time_of(found["metadata"]["creationTimestamp"])).total_seconds()
    if status_of(found).get("conditions") or since < _UNSEEN:
        return None
    return broken(
        f"the operator has not looked at {full_name(found)}", "see operator, operator-rights and leader above"
    )


def _agent(found: Raw, now: datetime) -> Finding | None:
    ended = condition(found, "Complete")
    if ended is not None:
        return _said(found, ended, Level.WARNING) if ended["status"] == "False" else None
    if is_true(found, "Suspended"):
        return None
    enforced = condition(found, "Enforced")
    if enforced and enforced["status"] == "False" and is_true(found, "Ready"):
        return _said(found, enforced, Level.WARNING if enforced["reason"] == "NotConfined" else Level.BROKEN)
    closed = condition(found, "NetworkClosed")
    if closed and closed["status"] == "True":
        return _said(found, closed, Level.WARNING)
    return judge_ready(found, now)


def judge_ready(found: Raw, now: datetime) -> Finding | None:
    """Return what is to be said of an object that is not Ready; nothing for as long as that may end by itself."""
    ready = condition(found, "Ready")
    if ready is None or ready["status"] == "True":
        return None
    if ready["reason"] in _BY_ITSELF:
        return _said(found, ready, Level.WARNING)
    reason = ready["reason"]
    if is_true(found, "Stalled") or (reason in _FIXES and reason not in _PASSING):
        return _said(found, ready, Level.BROKEN)
    since = (now - time_of(ready["lastTransitionTime"])).total_seconds()
    if since <= _SETTLING:
        return None
    return _said(found, ready, Level.BROKEN if reason in _FIXES else Level.WARNING)


def _said(found: Raw, why: Raw, level: Level) -> Finding:
    sentence = f"{full_name(found)}: {why['reason']}, {why.get('message', '')}".rstrip(", ")
    fix = _FIXES.get(why["reason"]) or f"kubectl -n {namespace_of(found)} describe {_resource(found)} {name_of(found)}"
    return broken(sentence, fix) if level is Level.BROKEN else warning(sentence, fix)


def _resource(found: Raw) -> str:
    """Return the kind for kubectl: Quota alone would be another's."""
    return f"{found['kind'].lower()}.ringfence.dev"
