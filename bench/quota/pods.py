"""Pods that count, as a sidecar does in its process."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Agent, Limit, Redis
from ringfence_sidecar.quota import Ask
from ringfence_sidecar.quotas.quota import Quotas

READY_SECONDS = 30


def limit(resource: str, most: float, **fields: Any) -> Limit:
    """Return a limit of a day that all agents have together, and that lets nothing through uncounted."""
    made = {"quota": "team", "quota_uid": "uid-team", "resource": resource, "max": most, "window": "Day"}
    return Limit(**{**made, "shared": True, "on_store_unavailable": "Deny", **fields})


def ask(**amounts: float) -> Ask:
    """Return what a call asks."""
    return Ask(amounts=amounts, writes=False, deadline=Deadline.after(30))


async def counting(redis: Redis, limits: Sequence[Limit], *, agent: str) -> Quotas:
    """Return a pod once it counts. An empty store hears first, for the length of a lease, whether others have used."""
    pod = Quotas()
    await pod.apply(limits, Agent(namespace="team-a", name=agent, uid=f"uid-{agent}"), redis)
    async with asyncio.timeout(READY_SECONDS):
        while pod.trouble:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.05)
    return pod
