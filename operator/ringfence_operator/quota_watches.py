"""What a leader does besides its passes so that quotas hold: it asks kubelets, and counts the time of pods."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ringfence_operator.changes import Changes
from ringfence_operator.kube.credentials import Credentials
from ringfence_operator.kube.kubelet import Kubelet
from ringfence_operator.priorities import SOON
from ringfence_operator.reconcile import direct_watch, memory_watch, run_time_watch
from ringfence_operator.reconcile.direct_watch import DirectWatch, Measured
from ringfence_operator.reconcile.memory_watch import MemoryWatch
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.reconcile.quota_admission import begin
from ringfence_operator.reconcile.run_time_watch import RunTimeWatch
from ringfence_operator.reconcile.view import View
from ringfence_operator.runtime.queue import WorkQueue


class QuotaWatches:
    """`start` when this replica begins to lead, `stop` when it does no more; make it inside a running event loop."""

    def __init__(
        self,
        view: View,
        changes: Changes,
        queue: WorkQueue[Task],
        credentials: Credentials,
        *,
        meters: Measured | None = None,
    ) -> None:
        on_use = changes.quota_stands_otherwise
        self._view = view
        self._kubelet = Kubelet(credentials, authority=view.settings.kubelet_authority)
        self._memory = MemoryWatch(view, self._kubelet, on_use=on_use)
        self._direct = DirectWatch(view, self._kubelet, meters) if meters is not None else None
        self._run_time = RunTimeWatch(view, on_use=on_use)
        view.node_kills.on_use = view.lags.on_use = view.places.on_use = on_use
        view.places.wake = lambda key: queue.add(Task("Agent", *key), SOON)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, on_end: Callable[[asyncio.Task[Any]], None]) -> None:
        """Begin with what the statuses say; `on_end` hears of a watch that has ended."""
        begin(self._view)
        watches = {
            "memory": repeat(self._memory.look, memory_watch.INTERVAL),
            "run-time": repeat(self._count, run_time_watch.INTERVAL),
        }
        if self._direct is not None:
            watches["direct"] = repeat(self._direct.look, direct_watch.INTERVAL)
        for name, watch in watches.items():
            task = asyncio.create_task(watch, name=name)
            task.add_done_callback(on_end)
            self._tasks.append(task)

    async def _count(self) -> None:
        self._run_time.look()

    def stop(self) -> None:
        """Only a leader counts."""
        self._view.run_times.rest()
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def close(self) -> None:
        """Close the connections to kubelets."""
        await self._kubelet.close()


async def repeat(
    look: Callable[[], Awaitable[None]],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look until cancelled; looks begin so many seconds apart, or one when the last has ended that took longer."""
    while True:
        due = clock() + seconds
        await look()
        await sleep(max(0.0, due - clock()))
