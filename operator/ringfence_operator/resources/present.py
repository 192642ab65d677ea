"""What a running pod really has of what limits it, as opposed to what the next one would be made with."""

from datetime import datetime

from ringfence_operator.api.agent_status import AgentStatus, EffectiveValue, Source
from ringfence_operator.resources.deciding import is_deciding
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.share import RESIZABLE


def known_rows(status: AgentStatus, pod: Pod) -> dict[str, EffectiveValue]:
    """Return what the status says that the pod has, by name; nothing if it is about another pod."""
    return {row.name: row for row in status.effective} if status.pod_uid == pod.meta.uid else {}


def present_rows(status: AgentStatus, effective: Effective, pod: Pod) -> tuple[EffectiveValue, ...]:
    """Return what the pod has: what it was made with, but cores and memory as the kubelet says they are.

    Limits that others than the node keep are no part of the pod: they hold at once.
    """
    now = {row.name: row for row in effective.rows()}
    known = {name: row for name, row in known_rows(status, pod).items() if not is_deciding(row)}
    rows = known | {row.name: row for row in effective.deciding} if known else dict(now)
    has = pod.actual_share or pod.share
    for name in RESIZABLE if has else ():
        value, row = has.limit(name) if has else "", rows.get(name)
        if now[name].value == value:
            rows[name] = now[name]
        elif row is None or row.value != value:
            rows[name] = EffectiveValue(name=name, value=value, source=row.source if row else Source.AGENT)
    return tuple(sorted(rows.values(), key=lambda row: row.name))


def memory_limit(status: AgentStatus, effective: Effective, pod: Pod) -> EffectiveValue:
    """Return the memory limit that the pod has; of a container that was killed, the one that killed it."""
    last = status.last_exit
    if last and last.memory_limit and pod.exit and last.time and last.time.timestamp() == _seconds(pod.exit.time):
        return last.memory_limit
    return next(row for row in present_rows(status, effective, pod) if row.name == "memory")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def limit_words(limit: EffectiveValue) -> str:
    """Return a limit and who set it, such as 256Mi (Quota small)."""
    return f"{limit.value} ({limit.source}{f' {limit.object}' if limit.object else ''})"
