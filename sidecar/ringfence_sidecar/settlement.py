"""What follows a call: its quota is settled, and what a write has made untrue is dropped from the cache."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from ringfence_sidecar.cache.port import AnswerCache
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.metering import Metering
from ringfence_sidecar.passage import Due, Passage

CLOSE_SECONDS = 5.0
_ARRIVES_SECONDS = 5.0
"""How long what was sent may take to reach the backend, which counts a statement's time from then on."""

log = structlog.get_logger()


class Settlement:
    """Settles each call once, and to the end, even if its caller goes away meanwhile."""

    def __init__(self, cache: AnswerCache | None, metering: Metering) -> None:
        self.cache = cache
        self._metering = metering
        self._tasks: set[asyncio.Task[None]] = set()

    async def clear(self, passage: Passage) -> None:
        """Settle, unless the backend is still asked for others: then it is done in `after`.

        It waits for what the answer has to wait for: limits that may have something to say, and the cache. Others are
        told while the answer is on its way. What goes wrong becomes a warning: the backend has done its part.
        """
        if not passage.is_asking and (settling := self._due(passage)):
            await asyncio.wait(settling)

    def leave(self, passage: Passage) -> None:
        """Settle behind a caller who has gone: as `clear` does."""
        passage.left()
        if not passage.is_asking:
            self._due(passage)

    def after(self, passage: Passage, then: Callable[[], None]) -> None:
        """Settle, and do what comes then, once the backend is not asked any more."""
        assert passage.asking is not None  # noqa: S101 - is_asking

        def ended(_: asyncio.Future[None]) -> None:
            self._due(passage)
            then()

        passage.asking.add_done_callback(ended)

    async def piece(self, passage: Passage, used: Mapping[str, float]) -> None:
        """Settle what a piece of a stream has used."""
        if settling := self._settling(passage, passage.piece(used)):
            await asyncio.wait(settling)

    async def close(self) -> None:
        """Wait for what is under way, within a bound."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    def _due(self, passage: Passage) -> list[asyncio.Task[None]]:
        """Begin to settle what is to be settled; what it is, is known from here on. Returns what answers wait for."""
        settling = self._settling(passage, passage.due())
        tags, passage.invalidates = passage.invalidates, frozenset()
        if tags and passage.track.sent and self.cache is not None:
            doubt = _doubt(passage) if passage.may_yet_be_done else 0.0
            settling.append(self._begin(self._invalidate(passage, self.cache, tags, doubt)))
        return settling

    def _settling(self, passage: Passage, due: Due) -> list[asyncio.Task[None]]:
        settling = []
        for reservation, used in due:
            task = self._begin(self._told(passage, reservation.settle(used)))
            if reservation.may_warn:
                settling.append(task)
        return settling

    async def _told(self, passage: Passage, settling: Awaitable[tuple[Notice, ...]]) -> None:
        try:
            self._metering.warn(passage, await settling)
        except Exception as error:  # noqa: BLE001 - as below
            _unsettled(passage, error)

    async def _invalidate(self, passage: Passage, cache: AnswerCache, tags: frozenset[str], doubt: float) -> None:
        try:
            for connector in passage.related:
                passage.warnings += await cache.invalidate(connector, tags, doubt=doubt)
        except Exception as error:  # noqa: BLE001 - the backend has done it: the call is served, whatever this says
            _unsettled(passage, error)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _doubt(passage: Passage) -> float:
    return (passage.prepared.lasts_seconds if passage.prepared else 0.0) + _ARRIVES_SECONDS


def _unsettled(passage: Passage, error: Exception) -> None:
    log.warning("call not settled", request=passage.call.request_id, error=type(error).__name__)
    passage.warnings.append(Notice("NotSettled", "the quota or the cache could not be told of this call"))
