"""The counters in the cluster's Redis, written as sidecars write them."""

import time
from typing import Any

from tests.e2e.kube import address
from tests.e2e.world import PodHandle, QuotaHandle, World

BACKENDS = "ringfence-backends"
SLOTS_PER_HOUR = 20


def redis(world: World, *words: Any) -> str:
    """Return what Redis answers its administrator."""
    (pod,) = world.kube.items(address("Pod", BACKENDS), labelSelector="app=redis")
    handle = PodHandle(world.kube, BACKENDS, pod["metadata"]["name"])
    return handle.output("redis-cli", "-a", "demo-administrator", "--no-auth-warning", *map(str, words)).strip()


def count(world: World, quota: QuotaHandle, resource: str, **fields: Any) -> None:
    """Have this in the bucket that all agents share of an hour's limit; `used` is used now."""
    prefix = f"rf:{{{world.namespace}}}:"
    key = f"{prefix}quota:{quota.get()['metadata']['uid']}:{resource}:Hour:Shared"
    slot = int(time.time()) // (3_600 // SLOTS_PER_HOUR)
    words: list[Any] = []
    for name, value in fields.items():
        words += [f"s:{slot}" if name == "used" else name.replace("_", ":", 1), value]
    redis(world, "HSET", key, *words)
    redis(world, "SADD", f"{prefix}quota:touched", key)
