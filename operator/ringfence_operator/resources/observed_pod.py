"""What the operator keeps of a pod that is an agent's or a pool's, as `observed` has the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from ringfence_operator import labels
from ringfence_operator.resources.observed import Meta, condition_of, interned, owner_uid
from ringfence_operator.resources.share import Share, read_share


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's process ended; `time` is RFC 3339."""

    code: int
    reason: str
    time: str
    signal: int = 0
    message: str = ""

    @property
    def oom_killed(self) -> bool:
        """True if the kernel killed it for passing its memory limit."""
        return self.reason == "OOMKilled"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that carries an agent's label, or a pool's."""

    meta: Meta
    owner_uid: str
    labels: Mapping[str, str]
    spec_hash: str
    deleting_since: str
    phase: str
    reason: str
    message: str
    node: str
    created: str
    started: str
    """When the kubelet took it on; of a pool's pod, when its agent claimed it."""
    ready: bool
    running_since: str
    restarts: int
    waiting: str
    waiting_message: str
    exit: Exit | None
    unschedulable: str
    disrupted: str
    gateway_address: str
    address: str = ""
    sidecar_hash: str = ""
    """Of the sidecar as the pod was made; empty without one."""
    sidecar_image: str = ""
    is_sidecar_ready: bool = True
    """False only where there is a sidecar, or a starter, that is not."""
    sidecar_waiting: str = ""
    """Why the sidecar, or the starter, does not run, in one word; empty if it does, or has not been tried yet."""
    sidecar_waiting_message: str = ""
    sidecar_exit: Exit | None = None
    """How it ended last; None if it never has."""
    companion: str = "sidecar"
    """Name of the container of ours of which this is said: of two the one that is not well, or the first."""
    share: Share | None = None
    """What the agent's container is to have of cores and memory."""
    actual_share: Share | None = None
    """What the kubelet says that it has."""
    quality: str = ""
    """The pod's class of service, such as Burstable."""
    resize_trouble: str = ""
    """Why the kubelet has not given the container its share: Deferred, Infeasible or Error; empty if it has."""
    resize_message: str = ""
    template: str = ""
    """What of its pool's template it was made from; empty for a pod that was made for its agent."""
    template_hash: str = ""
    claimed: str = ""
    """When an agent claimed it from its pool."""
    unready_since: str = ""
    """Since when a pool's pod is not ready; empty if it is, or has not said."""
    ready_since: str = ""
    """Since when a pool's pod is ready; empty if it is not, or has not said."""
    has_guests: bool = False
    """True if somebody has put containers into it after it was made, as kubectl debug does."""
    agent: str = ""
    """Name of its agent, where that is not its own."""

    @property
    def pool(self) -> str:
        """Name of the pool that it was made for, or nothing."""
        return self.labels.get(labels.POOL, "")

    @property
    def agent_key(self) -> tuple[str, str]:
        """Namespace and name of its agent."""
        return self.meta.namespace, self.agent or self.meta.name


def key_of_agent(raw: Mapping[str, Any]) -> tuple[str, str]:
    """Return under which key a pod is kept: that of its agent, if the pod was made for a pool, else its own.

    Which agent that is, the owner says: a label alone, as others' pods may carry, hides nobody's pod.
    """
    meta = raw["metadata"]
    owners = meta.get("ownerReferences", ()) if labels.TEMPLATE in meta.get("annotations", {}) else ()
    names = (each["name"] for each in owners if each.get("controller") and _is_agent(each))
    return meta.get("namespace", ""), next(names, meta["name"])


_NOT_TRIED = "PodInitializing"
"""Of a container that waits for another one."""


def _since(ready: Mapping[str, Any], status: str) -> str:
    return str(ready.get("lastTransitionTime") or "") if ready.get("status") == status else ""


def _is_agent(owner: Mapping[str, Any]) -> bool:
    return owner.get("kind") == "Agent" and owner.get("apiVersion") == labels.API_VERSION


def _exit(state: Mapping[str, Any]) -> Exit | None:
    ended = state.get("terminated")
    if not ended:
        return None
    return Exit(
        code=ended["exitCode"],
        reason=intern(ended.get("reason", "")),
        time=ended.get("finishedAt") or "",
        signal=ended.get("signal", 0),
        message=ended.get("message", "")[:512],
    )


def _unschedulable(status: Mapping[str, Any]) -> str:
    scheduled = condition_of(status, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return str(scheduled.get("message", ""))[:1024]
    return ""


def _agent_container(status: Mapping[str, Any]) -> Mapping[str, Any]:
    for container in status.get("containerStatuses", ()):
        if container["name"] == "agent":
            return container  # type: ignore[no-any-return]
    return {}


def _agent_spec(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (each for each in spec.get("containers", ()) if each["name"] == "agent")
    return next(found, {})


def _resize(status: Mapping[str, Any]) -> tuple[str, str]:
    """Return what keeps the kubelet from a resize, in a word and in its own."""
    pending, doing = condition_of(status, "PodResizePending"), condition_of(status, "PodResizeInProgress")
    if pending.get("status") == "True":
        return pending.get("reason", "Deferred"), pending.get("message", "")[:1024]
    if doing.get("status") == "True" and doing.get("reason") == "Error":
        return "Error", doing.get("message", "")[:1024]
    return "", ""


def _sidecar_image(spec: Mapping[str, Any]) -> str:
    found = (each["image"] for each in spec.get("initContainers", ()) if each["name"] == "sidecar")
    return next(found, "")


def _sidecar_status(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return that of the sidecar or the starter; of both, of the one that does not run, or is not ready."""
    found = [each for each in status.get("initContainerStatuses", ()) if each["name"] in ("sidecar", "starter")]
    return min(found, key=_wellness, default={})


def _wellness(container: Mapping[str, Any]) -> int:
    """Return how well a container is, the worst first: it cannot start, is not ready, or nothing is wrong."""
    waiting = (container.get("state", {}).get("waiting") or {}).get("reason", "")
    if waiting and waiting != _NOT_TRIED:
        return 0
    return 1 if not container.get("ready", True) else 2


def observe_pod(raw: Mapping[str, Any]) -> Pod:
    """Read a pod."""
    meta, status = raw["metadata"], raw.get("status", {})
    container = _agent_container(status)
    state = container.get("state", {})
    ready = condition_of(status, "Ready")
    disrupted = condition_of(status, "DisruptionTarget")
    annotations = meta.get("annotations", {})
    sidecar = _sidecar_status(status)
    waiting = sidecar.get("state", {}).get("waiting") or {}
    trouble, words = _resize(status)
    return Pod(
        meta=Meta.of(raw),
        owner_uid=owner_uid(meta),
        labels=interned(meta.get("labels")),
        spec_hash=annotations.get(labels.SPEC_HASH, ""),
        deleting_since=meta.get("deletionTimestamp") or "",
        phase=intern(status.get("phase", "")),
        reason=intern(status.get("reason", "")),
        message=status.get("message", "")[:1024],
        node=intern(raw["spec"].get("nodeName", "")),
        created=meta["creationTimestamp"],
        started=annotations.get(labels.CLAIMED_AT) or status.get("startTime") or "",
        ready=ready.get("status") == "True",
        running_since=state.get("running", {}).get("startedAt") or "",
        restarts=container.get("restartCount", 0),
        waiting=intern(state.get("waiting", {}).get("reason", "")),
        waiting_message=state.get("waiting", {}).get("message", "")[:1024],
        exit=_exit(state) or _exit(container.get("lastState", {})),
        unschedulable=_unschedulable(status),
        disrupted=intern(disrupted.get("reason", "")) if disrupted.get("status") == "True" else "",
        gateway_address=intern(annotations.get(labels.GATEWAY_ADDRESS, "")),
        address=status.get("podIP") or "",
        sidecar_hash=intern(annotations.get(labels.SIDECAR_HASH, "")),
        sidecar_image=intern(_sidecar_image(raw["spec"])),
        is_sidecar_ready=sidecar.get("ready", True),
        sidecar_waiting=intern(waiting.get("reason", "")),
        sidecar_waiting_message=waiting.get("message", "")[:1024],
        sidecar_exit=_exit(sidecar.get("state", {})) or _exit(sidecar.get("lastState", {})),
        companion=intern(sidecar.get("name", "sidecar")),
        share=read_share(_agent_spec(raw["spec"]).get("resources")),
        actual_share=read_share(container.get("resources")),
        quality=intern(status.get("qosClass", "")),
        resize_trouble=intern(trouble),
        resize_message=words,
        template=intern(annotations.get(labels.TEMPLATE, "")),
        template_hash=intern(annotations.get(labels.TEMPLATE_HASH, "")),
        claimed=annotations.get(labels.CLAIMED_AT, ""),
        unready_since=_since(ready, "False") if labels.TEMPLATE in annotations else "",
        ready_since=_since(ready, "True") if labels.TEMPLATE in annotations else "",
        has_guests=bool(raw["spec"].get("ephemeralContainers")),
        agent=agent if (agent := key_of_agent(raw)[1]) != meta["name"] else "",
    )
