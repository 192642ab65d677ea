"""Whether each agent was served once, and what became of each pod: from what the API server holds, and its log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.audit import Write
from bench.manifests import Raw

AGENT = "ringfence.dev/agent"
_ON_PATH = {("patch", "pods"), ("update", "agents/status")}


@dataclass(frozen=True, slots=True)
class Standing:
    """What is wrong with a pool and those who claimed from it; all are names, and nothing is."""

    unserved: tuple[str, ...]
    """Agents without a pod."""
    doubled: tuple[str, ...]
    """Agents with more than one."""
    misled: tuple[str, ...]
    """Agents whose status names another pod than they have, or none."""
    stray: tuple[str, ...]
    """Pods that are no living agent's, and do not wait for one either."""


def standing(agents: Sequence[Raw], pods: Sequence[Raw]) -> Standing:
    """Compare agents and pods of one namespace, once everything has come to rest."""
    names = {each["metadata"]["uid"]: each["metadata"]["name"] for each in agents}
    owned: dict[str, list[Raw]] = {}
    for pod in pods:
        owned.setdefault(_agent_uid(pod), []).append(pod)
    return Standing(
        unserved=tuple(name for uid, name in names.items() if uid not in owned),
        doubled=tuple(name for uid, name in names.items() if len(owned.get(uid, ())) > 1),
        misled=tuple(
            each["metadata"]["name"]
            for each in agents
            if each.get("status", {}).get("podUID") not in _uids(owned.get(each["metadata"]["uid"], ()))
        ),
        stray=tuple(
            pod["metadata"]["name"]
            for uid, found in owned.items()
            for pod in found
            if uid not in names and not _waits(pod)
        ),
    )


def claimed_again(writes: Iterable[Write]) -> list[str]:
    """Return the pods on which a claim's patch has succeeded more than once."""
    patched = Counter(
        each.name for each in writes if (each.verb, each.resource) == ("patch", "pods") and each.succeeded
    )
    return [name for name, number in patched.items() if number > 1]


def on_path(writes: Iterable[Write], claimed: Iterable[str]) -> list[Write]:
    """Return the writes that `claimed`, agents and their pods, had to wait for; an Event comes after them."""
    names = set(claimed)
    return [each for each in writes if each.name in names and (each.verb, each.resource) in _ON_PATH]


def _agent_uid(pod: Raw) -> str:
    """Return the UID of the agent that the pod is, empty for one that is a pool's."""
    owners = pod["metadata"].get("ownerReferences", ())
    return next((each["uid"] for each in owners if each["kind"] == "Agent"), "")


def _uids(pods: Iterable[Raw]) -> set[str]:
    return {each["metadata"]["uid"] for each in pods}


def _waits(pod: Raw) -> bool:
    """Return True if an agent could still have it: a pool's, with no mark of a claim, and ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return not _agent_uid(pod) and AGENT not in pod["metadata"].get("labels", {}) and is_ready
