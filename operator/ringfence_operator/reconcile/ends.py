"""An agent that the node has ended at a quota's limit: the quota counts it as a refusal."""

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentStatus
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.diagnose import has_passed_disk_limit
from ringfence_operator.reconcile.node_kills import Kill
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.present import present_rows
from ringfence_operator.resources.quota_caps import NODE_NAMES


def tell_of_ends(context: Context, status: AgentStatus, view: View) -> None:
    """Have the quota told of whose limit it was; said again on each pass, it counts once."""
    _kill(context.agent, status, view)
    _eviction(context, view)


def _kill(agent: Agent, status: AgentStatus, view: View) -> None:
    """A quota whose memory limit killed the agent says so, too."""
    last, before = status.last_exit, agent.status.last_exit
    limit = last.memory_limit if last else None
    if last and limit and limit.object:
        time = format_timestamp(last.time) if last.time else ""
        is_new = before is None or before.time != last.time
        quota = agent.metadata.namespace, limit.object
        kill = Kill(agent.metadata.name, time, id=time)
        view.node_kills.note(quota, Resource.MEMORY, agent.metadata.uid, kill, is_new=is_new)


def _eviction(context: Context, view: View) -> None:
    """A quota for whose limit on disk the kubelet has ended the agent says so, too."""
    agent, pod = context.agent, context.own_pod
    if pod is None or not has_passed_disk_limit(pod):
        return
    rows = present_rows(agent.status, context.effective, pod)
    limit = next((row for row in rows if row.name == NODE_NAMES[Resource.EPHEMERAL_STORAGE]), None)
    if limit is not None and limit.object:
        known = agent.status.last_failure
        time = pod.exit.time if pod.exit else ""
        kill = Kill(agent.metadata.name, time or format_timestamp(context.now), id=pod.meta.uid)
        quota = agent.metadata.namespace, limit.object
        is_new = known is None or known.pod_uid != pod.meta.uid
        view.node_kills.note(quota, Resource.EPHEMERAL_STORAGE, agent.metadata.uid, kill, is_new=is_new)
