"""A Quota's change, told to sidecars ahead of the passes of its agents: a thousand passes take longer than a second."""

import asyncio
from collections.abc import Iterable

from ringfence_operator.reconcile.quotas import Key, missing_quota_of, quotas_of_record, share_among
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.sidecar_limits import build_limits

_AT_ONCE = 100
"""Agents in one turn of the loop."""


async def push_limits(agents: Iterable[Key], view: View, sidecars: Sidecars) -> None:
    """Have the sidecars of these agents keep the limits that hold now; all else is what they were served last."""
    for number, key in enumerate(sorted(agents), start=1):
        agent, pod = view.agents.get(*key), view.pods.get(*key)
        if agent is not None and pod is not None and pod.sidecar_hash:
            held = [(quota, share_among(quota, view)) for quota in quotas_of_record(agent, view)]
            sidecars.limit(pod.meta.uid, build_limits(held, missing=missing_quota_of(agent, view)))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
