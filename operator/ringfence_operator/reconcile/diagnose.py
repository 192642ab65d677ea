"""What a pod that exists says about its agent, in one reason and a sentence that helps."""

import re
from dataclasses import dataclass

from ringfence_operator.api.agent_status import AgentState, EffectiveValue, Source
from ringfence_operator.api.conditions import Reason
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.observed_pod import Exit, Pod
from ringfence_operator.resources.present import limit_words


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """State, reason and message for a pod that has neither ended nor is being deleted."""

    state: AgentState
    reason: Reason
    message: str
    is_ready: bool = False


_WAITING = {
    "ImagePullBackOff": Reason.IMAGE_NOT_FOUND,
    "ErrImagePull": Reason.IMAGE_NOT_FOUND,
    "ErrImageNeverPull": Reason.IMAGE_NOT_FOUND,
    "InvalidImageName": Reason.IMAGE_NOT_FOUND,
    "ImageInspectError": Reason.IMAGE_NOT_FOUND,
    "RegistryUnavailable": Reason.IMAGE_NOT_FOUND,
    "CreateContainerConfigError": Reason.CONFIG_NOT_FOUND,
    "CreateContainerError": Reason.START_FAILED,
    "RunContainerError": Reason.START_FAILED,
    "StartError": Reason.START_FAILED,
}
_RUNS_BETWEEN = ("CrashLoopBackOff", "PostStartHookError")
_NOT_STARTING = {*_WAITING, *_RUNS_BETWEEN}
_NEVER_RAN = ("StartError", "ContainerCannotRun")
_OWN_DISK = (
    "Pod ephemeral local storage usage exceeds the total limit of containers",
    "Container agent exceeded its local ephemeral storage limit",
)
_LATE = re.compile(r"the sidecar did not answer within \d+ s of its start")
"""What the postStart hook of the sidecar writes (`ringfence_sidecar.wait`); the kubelet quotes it."""
_SENT_TO_END = (0, 137, 143)
"""Exit codes of a sidecar that was told to end, or that was killed since it did not."""
_OVERLOADED = "its node may have more to do than it can"
_IMAGE = "have whoever installed the operator check RINGFENCE_OPERATOR"
_FAILED = {"sidecar": Reason.SIDECAR_FAILED, "starter": Reason.STARTER_FAILED}
_NOT_READY = {
    "sidecar": "the container runs and its sidecar is not ready: it has no configuration from the operator yet, or "
    "does not run; see the log of container sidecar",
    "starter": "the container runs and its starter does not; see the log of container starter",
}
_HELP = {
    Reason.IMAGE_NOT_FOUND: "check spec.image and imagePullSecrets",
    Reason.CONFIG_NOT_FOUND: "create what is missing, or correct env, envFrom and files",
    Reason.START_FAILED: "check spec.command, args and workingDir",
}


def diagnose(pod: Pod, effective: Effective, memory: EffectiveValue | None = None) -> Diagnosis:
    """Return what the pod's status means for the agent; `memory` is the limit that it has, if that is known."""
    if pod.ready:
        return Diagnosis(AgentState.RUNNING, Reason.RUNNING, f"running on node {pod.node}", is_ready=True)
    if pod.unschedulable:
        message = f"{pod.unschedulable}; check resources, nodeSelector and tolerations"
        return Diagnosis(AgentState.PENDING, Reason.UNSCHEDULABLE, message)
    if found := _why_waiting(pod):
        return found
    if pod.exit and not pod.running_since:
        return _between_runs(pod, effective, memory)
    if pod.running_since:
        own = "the container runs and is not ready yet; see probes"
        message = own if pod.is_sidecar_ready else _NOT_READY[pod.companion]
        return Diagnosis(AgentState.STARTING, Reason.NOT_READY, message)
    where = f" on node {pod.node}" if pod.node else ""
    return Diagnosis(AgentState.STARTING, Reason.STARTING, f"the pod is starting{where}")


def _why_waiting(pod: Pod) -> Diagnosis | None:
    """Return what keeps a container from starting; the agent's waits for the sidecar, or the starter."""
    if pod.sidecar_waiting in _NOT_STARTING:
        return Diagnosis(AgentState.PENDING, _FAILED[pod.companion], _why_no_companion(pod))
    if pod.waiting in _WAITING:
        reason = _WAITING[pod.waiting]
        return Diagnosis(AgentState.PENDING, reason, f"{pod.waiting_message or pod.waiting}; {_HELP[reason]}")
    return None


def _why_no_companion(pod: Pod) -> str:
    """Only one that never ran is put down to its image: one that was slow or crashed had the right one."""
    name, ended = pod.companion, pod.sidecar_exit
    log = f"see the log of container {name}"
    if late := _LATE.search(pod.sidecar_waiting_message):
        return f"{late[0]}, and is started anew: {_OVERLOADED}; {log}"
    if pod.sidecar_waiting not in _RUNS_BETWEEN or ended is None or ended.reason in _NEVER_RAN:
        why = pod.sidecar_waiting_message or pod.sidecar_waiting
        return f"the {name} cannot be started: {why}; {_IMAGE}_{name.upper()}_IMAGE"
    if ended.oom_killed:
        return f"the kernel killed the {name} for passing its memory limit, and it is started anew; {log}"
    if ended.code in _SENT_TO_END:
        return (
            f"the {name} was ended and is started anew, as the kubelet does with one that does not answer in time: "
            f"{_OVERLOADED}; {log}"
        )
    return f"the {name} ended with exit code {ended.code}, and is started anew{_last_words(ended)}; {log}"


def _raise_it(limit: EffectiveValue) -> str:
    return "raise it there" if limit.source is Source.QUOTA else "raise resources.limits.memory"


def _between_runs(pod: Pod, effective: Effective, memory: EffectiveValue | None) -> Diagnosis:
    """The kubelet will start the container again; `pod.exit` says how it ended."""
    ended = pod.exit
    if ended is None:
        raise AssertionError("diagnosed an end that was not seen")
    if ended.reason in _NEVER_RAN:
        message = f"{ended.message or 'the command cannot be started'}; {_HELP[Reason.START_FAILED]}"
        return Diagnosis(AgentState.RESTARTING, Reason.START_FAILED, message)
    if ended.oom_killed:
        limit = memory or next(row for row in effective.rows() if row.name == "memory")
        message = (
            f"killed by the kernel for passing its memory limit of {limit_words(limit)}, "
            f"restarts so far: {pod.restarts}; {_raise_it(limit)}, or use less"
        )
        return Diagnosis(AgentState.RESTARTING, Reason.OUT_OF_MEMORY, message)
    message = f"the command ended with exit code {ended.code}, restarts so far: {pod.restarts}{_last_words(ended)}"
    return Diagnosis(AgentState.RESTARTING, Reason.CRASHED, message)


def _last_words(ended: Exit) -> str:
    """Return the end of what the command wrote, on one line."""
    words = " ".join(ended.message.split())
    return f": {words[-200:]}" if words else ""


def is_disrupted(pod: Pod) -> bool:
    """Return True if the cluster took the failed pod away, and not for anything that the agent did."""
    if pod.reason == "Evicted":
        # The kubelet marks both with DisruptionTarget: a full node, and a pod that passed its own disk limit.
        return pod.message.startswith("The node was low on resource")
    return bool(pod.disrupted) or pod.reason in ("NodeLost", "NodeShutdown", "Terminated", "Preempting")


def has_passed_disk_limit(pod: Pod) -> bool:
    """Return True if the kubelet evicted the pod for what the agent's container wrote, and not for a volume's own size.

    Source: the messages of Kubernetes' eviction manager (pkg/kubelet/eviction/helpers.go).
    """
    return pod.reason == "Evicted" and pod.message.startswith(_OWN_DISK)


def failure_reason(pod: Pod) -> Reason:
    """Return why a failed pod failed."""
    if pod.exit and pod.exit.oom_killed:
        return Reason.OUT_OF_MEMORY
    return Reason.EVICTED if pod.reason == "Evicted" else Reason.CRASHED


def why_failed(pod: Pod, memory: EffectiveValue | None = None) -> str:
    """Return a sentence about a failed pod that helps; `memory` is the limit that it had, if that is known."""
    if pod.exit and pod.exit.oom_killed:
        limit = f" of {limit_words(memory)}" if memory else ""
        advice = _raise_it(memory) if memory else "raise resources.limits.memory"
        return f"killed by the kernel for passing its memory limit{limit}: {advice}, or use less"
    if pod.reason or pod.disrupted:
        return f"{pod.reason or pod.disrupted}: {pod.message or 'the pod was taken off its node'}"
    if pod.exit:
        signal = f" (signal {pod.exit.signal})" if pod.exit.signal else ""
        return f"the command ended with exit code {pod.exit.code}{signal}{_last_words(pod.exit)}"
    return "the pod failed"
