"""A pool for fake nodes, and agents that claim from it."""

from bench.manifests import IMAGE, Raw

POOLS = "/apis/ringfence.dev/v1alpha1/namespaces/{}/agentpools"
POOL = "warm"
_FAKE = {
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
}


def pool(size: int) -> Raw:
    """Return a pool of that size."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "AgentPool",
        "metadata": {"name": POOL},
        "spec": {"size": size, "template": {"image": IMAGE, **_FAKE}},
    }


def claimant() -> Raw:
    """Return an agent that claims from the pool."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "{name}"},
        "spec": {"poolRef": {"name": POOL}, "command": ["/bin/sleep", "3600"]},
    }
