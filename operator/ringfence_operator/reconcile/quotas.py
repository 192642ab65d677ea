"""Which quotas hold for an agent, and for which agents a quota holds."""

from collections.abc import Iterable, Mapping

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource
from ringfence_operator.reconcile.pod_index import is_live
from ringfence_operator.reconcile.quota_index import BY_LABEL, BY_QUOTA, BY_SELECTOR, keys_of
from ringfence_operator.reconcile.quota_knowledge import share_of
from ringfence_operator.reconcile.view import BY_NAMESPACE, View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.resources.selector import selects

Key = tuple[str, str]
_WITHOUT_POD = (AgentState.SUSPENDED, AgentState.SUCCEEDED, AgentState.FAILED)


def quotas_of(agent: Agent, view: View) -> tuple[Quota, ...]:
    """Return the quotas that hold for `agent`, by name; those that are being deleted hold no more."""
    ref = agent.spec.quota_ref
    return _holding(agent.metadata.namespace, agent.metadata.labels, ref.name if ref else "", view)


def quotas_of_record(agent: AgentRecord, view: View) -> tuple[Quota, ...]:
    """Return the quotas that hold for an agent as the cache keeps it."""
    return _holding(agent.namespace, agent.labels, agent.quota, view)


def missing_quota(agent: Agent, view: View) -> str | None:
    """Return the name of the quota that `agent` names and that does not exist, or None."""
    ref = agent.spec.quota_ref
    return _missing(agent.metadata.namespace, ref.name if ref else "", view)


def missing_quota_of(agent: AgentRecord, view: View) -> str | None:
    """Return the same for an agent as the cache keeps it."""
    return _missing(agent.namespace, agent.quota, view)


def agents_of(quota: Quota, view: View) -> set[Key]:
    """Return the keys of the agents that the quota holds for: those that name it, and those that it selects."""
    found = set(view.agents.keys_by(BY_QUOTA, quota.key))
    selector = quota.spec.selector
    if selector is None:
        return found
    namespace, body = quota.metadata.namespace, selector.to_body()
    groups = [view.agents.keys_by(BY_LABEL, (namespace, *each)) for each in selector.match_labels.items()]
    candidates = min(groups, key=len) if groups else view.agents.keys_by(BY_NAMESPACE, namespace)
    return found | {key for key in candidates if selects(body, view.agents.cache[key].labels)}


def concerned(old: Quota | None, new: Quota | None, view: View) -> set[Key]:
    """Return the agents that a change of a quota concerns: those before and after; none, if only its status changed."""
    if old and new and _said(old) == _said(new):
        return set()
    return {key for each in (old, new) if each is not None for key in agents_of(each, view)}


def _said(quota: Quota) -> tuple[object, ...]:
    meta = quota.metadata
    return meta.uid, meta.generation, meta.deletion_timestamp


def share_among(quota: Quota, view: View) -> int:
    """Return among how many pods the quota is shared out; counted once, and then by each pass over the quota."""
    shares = view.quota_knowledge.shares
    if quota.key not in shares:
        shares[quota.key] = share_of(sharing(agents_of(quota, view), view))
    return shares[quota.key]


def sharing(agents: Iterable[Key], view: View) -> int:
    """Return how many of the agents have a pod that can use its share, or are to have one."""
    return sum(_has_share(*key, view) for key in agents)


def has_live_pod(agent: Key, view: View) -> bool:
    """Return True if the agent has a pod that has not ended."""
    pod = view.pods.get(*agent)
    return pod is not None and is_live(pod)


def _has_share(namespace: str, name: str, view: View) -> bool:
    if has_live_pod((namespace, name), view):
        return True
    agent = view.agents.get(namespace, name)
    return agent is not None and agent.state not in _WITHOUT_POD and not agent.waits


def shared_otherwise(old: Pod | None, new: Pod | None, view: View) -> set[Key]:
    """A pod has changed: return the quotas that are shared out among one more or less."""
    pod = new or old
    was, is_there = (each is not None and is_live(each) for each in (old, new))
    agent = view.agents.get(*pod.agent_key) if pod else None
    return {each.key for each in quotas_of_record(agent, view)} if agent and was != is_there else set()


def limits_of(quotas: Iterable[Quota], enforcer: Enforcer) -> list[tuple[Quota, Limit]]:
    """Return the limits that one part of the system keeps, each with its quota; by quota, resource and window."""
    found = [(quota, limit) for quota in quotas for limit in quota.spec.limits]
    kept = [(quota, limit) for quota, limit in found if MATRIX[limit.resource].enforcer is enforcer]
    return sorted(kept, key=lambda it: (it[0].metadata.name, it[1].id))


def counted(quotas: Iterable[Quota]) -> tuple[str, ...]:
    """Return the names of the quotas that an agent's pod carries, since it counts for them while it runs."""
    kept = (Resource.AGENTS, Resource.POD_SECONDS)
    return tuple(each.metadata.name for each in quotas if any(limit.resource in kept for limit in each.spec.limits))


def has_call_limits(quotas: Iterable[Quota]) -> bool:
    """Return True if one of the quotas has a limit that sidecars keep."""
    return bool(limits_of(quotas, Enforcer.SIDECAR))


def has_sidecar(agent: AgentRecord, view: View) -> bool:
    """Return True if the agent's pod has a sidecar, or the next one would."""
    pod = view.pods.get(agent.namespace, agent.name)
    has = bool(agent.connectors) or (pod is not None and bool(pod.sidecar_hash))
    return has or has_call_limits(quotas_of_record(agent, view))


def _missing(namespace: str, named: str, view: View) -> str | None:
    return named if named and _present(namespace, named, view) is None else None


def _present(namespace: str, name: str, view: View) -> Quota | None:
    found = view.quotas.get(namespace, name)
    return found if found and found.metadata.deletion_timestamp is None else None


def _holding(namespace: str, labels: Mapping[str, str], named: str, view: View) -> tuple[Quota, ...]:
    keys = {key for each in keys_of(namespace, labels.items()) for key in view.quotas.keys_by(BY_SELECTOR, each)}
    candidates = (_present(*key, view) for key in keys)
    found = {
        each.metadata.name: each
        for each in candidates
        if each and each.spec.selector and selects(each.spec.selector.to_body(), labels)
    }
    own = _present(namespace, named, view) if named else None
    if own is not None:
        found[named] = own
    return tuple(found[name] for name in sorted(found))
