"""By what quotas are looked for, and the agents that they hold for: never all of a namespace, where a label tells."""

from collections.abc import Iterable

from ringfence_operator.api.quota import Quota
from ringfence_operator.resources.record import AgentRecord

BY_QUOTA = "quota"
BY_LABEL = "label"
BY_SELECTOR = "selector"
BY_UID = "uid"
_ANY = ("", "")

LabelOf = tuple[str, str, str]
"""Namespace, key and value."""


def index_by_quota(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the Quota that an agent names."""
    if agent.quota:
        yield agent.namespace, agent.quota


def index_by_label(agent: AgentRecord) -> Iterable[LabelOf]:
    """Yield each label of an agent."""
    for key, value in agent.labels.items():
        yield agent.namespace, key, value


def index_by_selector(quota: Quota) -> Iterable[LabelOf]:
    """Yield one label that every agent has that the quota selects; no label for a selector that names none."""
    selector = quota.spec.selector
    if selector is not None:
        yield quota.metadata.namespace, *min(selector.match_labels.items(), default=_ANY)


def index_by_uid(quota: Quota) -> Iterable[str]:
    """Yield the UID of a quota."""
    yield quota.metadata.uid


def keys_of(namespace: str, labels: Iterable[tuple[str, str]]) -> Iterable[LabelOf]:
    """Yield under what the quotas are kept that may select an agent of these labels."""
    yield namespace, *_ANY
    for key, value in labels:
        yield namespace, key, value
