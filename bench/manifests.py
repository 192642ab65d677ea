"""The objects that are created."""

from typing import Any

AGENTS = "/apis/ringfence.dev/v1alpha1/namespaces/{}/agents"
QUOTAS = "/apis/ringfence.dev/v1alpha1/namespaces/{}/quotas"
PODS = "/api/v1/namespaces/{}/pods"
IMAGE = "docker.io/library/python:3.11-slim-bookworm"
SAY_THE_TIME = "date +%s%N; exec sleep 3600"

Raw = dict[str, Any]


def fake_agent() -> Raw:
    """Return a plain agent for a fake node."""
    return _agent(
        {
            "command": ["python3", "-c", "import time\nwhile True: time.sleep(1)"],
            "nodeSelector": {"type": "kwok"},
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
        }
    )


def real_agent() -> Raw:
    """Return a plain agent that logs its start in nanoseconds since 1970, before anything else."""
    return _agent({"command": ["/bin/sh", "-c", SAY_THE_TIME]})


def _agent(spec: Raw) -> Raw:
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "{name}"},
        "spec": {"image": IMAGE, **spec},
    }


def same_without_operator(pod: Raw) -> Raw:
    """Return the manifest of a pod like `pod`, an agent's, but for what makes it the operator's."""
    meta, spec = pod["metadata"], {**pod["spec"]}
    for stored in ("nodeName", "serviceAccount", "serviceAccountName"):
        spec.pop(stored, None)
    labels = {key: value for key, value in meta["labels"].items() if key != "ringfence.dev/agent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "{name}", "labels": labels, "annotations": meta.get("annotations", {})},
        "spec": spec,
    }


def named(manifest: Raw, name: str) -> Raw:
    """Return `manifest` for one object of that name."""
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}
