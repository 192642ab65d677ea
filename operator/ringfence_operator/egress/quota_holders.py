"""Who holds what of a shared limit on what is held at once: each process of a sidecar says so of itself."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ringfence_operator.api.quota_matrix import Window
from ringfence_operator.egress.quota_buckets import SHARED

OF_ALL = f":{Window.NONE}:{SHARED}"
"""What the keys of such buckets end with."""
_LOT = re.compile(r"(\S+) ([^\n]+)\n")
_BATCH = 500

Ask = Callable[[list[tuple[str, ...]]], Awaitable[list[Any]]]
Held = dict[str, dict[str, float]]
"""Key of a bucket, without the namespace's prefix → UID of the agent → what its sidecar holds."""


async def read_holders(ask: Ask, prefix: str) -> Held:
    """Return what is held of all buckets of a namespace. Raises OSError."""
    (processes,) = await ask([("ZRANGE", f"{prefix}quota:pods", "0", "-1")])
    found: Held = defaultdict(lambda: defaultdict(float))
    for start in range(0, len(processes), _BATCH):
        batch = [str(each) for each in processes[start : start + _BATCH]]
        agents = await ask([("HGET", f"{prefix}quota:total:{each}", "@") for each in batch])
        lots = await ask([("HVALS", f"{prefix}quota:pod:{each}") for each in batch])
        for agent, held in zip(agents, lots, strict=True):
            if agent:
                _add(found, prefix, str(agent), held or ())
    return found


def _add(found: Held, prefix: str, agent: str, lots: Iterable[Any]) -> None:
    for lot in lots:
        for amount, key in _LOT.findall(str(lot)):
            if key.endswith(OF_ALL):
                found[key.removeprefix(prefix)][agent] += float(amount)
