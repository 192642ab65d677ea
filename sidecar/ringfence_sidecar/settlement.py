"""What follows a call: its quota is settled, and what a write has made untrue is dropped from the cache."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from ringfence_sidecar.cache.port import AnswerCache
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.passage import Passage
from ringfence_sidecar.quota import Reservation

CLOSE_SECONDS = 5.0

log = structlog.get_logger()


class Settlement:
    """Settles each call once, and to the end, even if its caller goes away meanwhile."""

    def __init__(self, cache: AnswerCache | None) -> None:
        self.cache = cache
        self._tasks: set[asyncio.Task[None]] = set()

    async def clear(self, passage: Passage) -> None:
        """Settle. What goes wrong becomes a warning: the backend has done its part."""
        reservation, passage.reservation = passage.reservation, None
        tags, passage.invalidates = passage.invalidates, frozenset()
        if not passage.track.sent:
            tags = frozenset()
        if reservation is not None or tags:
            await asyncio.shield(self._begin(self._settle(passage, reservation, tags)))

    def leave(self, passage: Passage) -> None:
        """Settle behind a caller who has gone."""
        passage.left()
        self._begin(self.clear(passage))

    async def close(self) -> None:
        """Wait for what is under way, within a bound."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    async def _settle(self, passage: Passage, reservation: Reservation | None, tags: frozenset[str]) -> None:
        try:
            cache = self.cache
            if tags and cache is not None:
                for connector in passage.related:
                    passage.warnings += await cache.invalidate(connector, tags)
            if reservation is not None:
                passage.warnings += await reservation.settle(passage.to_settle())
        except Exception as error:  # noqa: BLE001 - the backend has done it: the call is served, whatever this says
            log.warning("call not settled", request=passage.call.request_id, error=type(error).__name__)
            passage.warnings.append(Notice("NotSettled", "the quota or the cache could not be told of this call"))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
