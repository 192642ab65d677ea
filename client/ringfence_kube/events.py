"""What the cluster has told of an object lately."""

from ringfence_kube.api import Api
from ringfence_kube.errors import ClusterError
from ringfence_kube.objects import Raw, core, name_of, namespace_of


def last_events(api: Api, found: Raw, *, count: int = 3) -> list[str]:
    """Return what was told last of objects of that name, which an agent's pod has, too; nothing if we may not see."""
    try:
        events = api.items(core("events", namespace_of(found)), fieldSelector=f"involvedObject.name={name_of(found)}")
    except ClusterError:
        return []
    events.sort(key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    told = dict.fromkeys(f"{each.get('reason')}: {each.get('message')}" for each in events)
    return list(told)[-count:]
