"""The two pods that find out whether NetworkPolicies are enforced: a target, and a prober that must not reach it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence_operator import labels
from ringfence_operator.resources.observed import Meta

TARGET = f"{labels.NETWORK_PROBE}-target"
PORT = 18_800
PROBER_SECONDS = 60
TARGET_SECONDS = 600
"""Longer than the prober may take: until then it must be there to be reached."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a prober found: which of `pod` and `kubelet` it reached, and which only in the first moment of its life."""

    reached: tuple[str, ...]
    late: tuple[str, ...] = ()

    @property
    def is_enforced(self) -> bool:
        """True if the policy that closes the prober does."""
        return not self.reached


@dataclass(frozen=True, slots=True)
class ProbePod:
    """One of the two pods. `ended` is RFC 3339: when it ended, or was made, where nobody says when it ended."""

    meta: Meta
    image: str
    is_ready: bool
    is_deleting: bool
    addresses: tuple[str, ...]
    has_ended: bool
    ended: str
    verdict: Verdict | None
    problem: str
    """Why it cannot run, as far as the scheduler and the kubelet say."""


@dataclass(frozen=True, slots=True)
class Like:
    """What both pods are made like: an image that holds the operator, and where and how it can be run."""

    image: str
    placement: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def pod(cls, raw: Mapping[str, Any]) -> "Like":
        """Read it from a pod of the operator."""
        spec = raw["spec"]
        image = next(each["image"] for each in spec["containers"] if each["name"] == "operator")
        return cls(
            image, {key: spec[key] for key in ("imagePullSecrets", "nodeSelector", "tolerations") if key in spec}
        )


def build_target(namespace: str, like: Like) -> dict[str, Any]:
    """Return the pod that listens; nothing closes it."""
    container = {
        "args": ["target", str(PORT)],
        "ports": [{"name": "target", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": "target"}, "periodSeconds": 1, "failureThreshold": 3},
    }
    return _pod(TARGET, namespace, like, container, deadline=TARGET_SECONDS)


def build_prober(namespace: str, like: Like, targets: Sequence[str], kubelets: Iterable[int]) -> dict[str, Any]:
    """Return the pod that tries to reach `targets`, and its own node on each of the ports that kubelets have."""
    container = {
        "args": ["prober", str(PORT), *targets],
        "env": [
            {"name": "HOST_ADDRESSES", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}},
            {"name": "KUBELET_PORTS", "value": ",".join(map(str, sorted(set(kubelets))))},
        ],
    }
    return _pod(labels.NETWORK_PROBE, namespace, like, container, deadline=PROBER_SECONDS)


def _pod(name: str, namespace: str, like: Like, container: dict[str, Any], *, deadline: int) -> dict[str, Any]:
    marks = {labels.APP: labels.NETWORK_PROBE, labels.ROLE: name, labels.MANAGED_BY: labels.MANAGER}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": marks},
        "spec": {
            **like.placement,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": deadline,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": like.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/app/bin/python", "-m", "ringfence_operator.probe"],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "24Mi", "ephemeral-storage": "1Mi"},
                        "limits": {"memory": "64Mi", "ephemeral-storage": "16Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                    **container,
                }
            ],
        },
    }


def observe_probe_pod(raw: Mapping[str, Any]) -> ProbePod:
    """Read one of the two pods."""
    status = raw.get("status", {})
    state: Mapping[str, Any] = next((each.get("state", {}) for each in status.get("containerStatuses", ())), {})
    ended = state.get("terminated", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    return ProbePod(
        meta=Meta.of(raw),
        image=raw["spec"]["containers"][0]["image"],
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        is_deleting="deletionTimestamp" in raw["metadata"],
        addresses=tuple(each["ip"] for each in status.get("podIPs", ())),
        has_ended=status.get("phase") in ("Succeeded", "Failed"),
        ended=ended.get("finishedAt") or raw["metadata"]["creationTimestamp"],
        verdict=_verdict(ended.get("message", "")) if status.get("phase") == "Succeeded" else None,
        problem=_problem(status, state, conditions),
    )


def _verdict(message: str) -> Verdict | None:
    try:
        found = json.loads(message)
        said = {name: found[name] for name in ("pod", "kubelet")}
    except (ValueError, KeyError, TypeError):
        return None
    of = {word: tuple(name for name, each in said.items() if each == word) for word in ("open", "late")}
    return Verdict(reached=of["open"], late=of["late"])


def _problem(status: Mapping[str, Any], state: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    scheduled, waiting, ended = (
        conditions.get("PodScheduled", {}),
        state.get("waiting", {}),
        state.get("terminated", {}),
    )
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', '')}: {scheduled.get('message', '')}"[:512]
    if waiting.get("reason", "ContainerCreating") not in ("ContainerCreating", "PodInitializing"):
        return f"{waiting['reason']}: {waiting.get('message', '')}"[:512]
    if status.get("phase") == "Failed":
        why = status.get("message") or ended.get("message") or f"exit code {ended.get('exitCode', 'unknown')}"
        return f"{status.get('reason') or ended.get('reason', 'Failed')}: {why}"[:512]
    return ""
