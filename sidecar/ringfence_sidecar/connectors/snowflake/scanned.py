"""bytesScanned: what queries have read, which only Snowflake's history of the session says, once they are over.

The driver is not told. The history costs one more statement, on the session's own warehouse, so only calls ask that a
limit holds for. What they reserve is what the largest of the last queries scanned; where the history does not say it,
because a query has failed or nobody waits for it, it is reckoned by the time that it took (`Passage`).
"""

import time
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import structlog

from ringfence_sidecar.call import Context, Deadline
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.errors import CallError
from ringfence_sidecar.quota import SCANNED

FIRST_BYTES = 16 * 2**20
"""What a query reserves at least: what it scans of a table is whole micro-partitions, of about so much each."""
BYTES_PER_SECOND = 100_000_000.0
"""What a query is taken to read at least, in a second of which nobody says it."""
_LAST = 32
"""So many queries say what the next may scan."""
_SECONDS = 10.0
_AFTER_WRITE_SECONDS = 1.0
"""What has been done is not kept waiting for a figure."""
_MARGIN_SECONDS = 0.1
"""Left of the call's time for its answer: what has been done would be told as unknown."""
_HISTORY = "SELECT QUERY_ID, BYTES_SCANNED FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION(RESULT_LIMIT => 100))"

log = structlog.get_logger()


class Scans:
    """What the last queries of a Connector have scanned: by that, those are reckoned of which nobody knows it."""

    def __init__(self) -> None:
        self._last: deque[tuple[float, float]] = deque(maxlen=_LAST)
        """Bytes and seconds."""

    @property
    def estimate(self) -> float:
        """What a query may scan: what it reserves."""
        return max([FIRST_BYTES, *(size for size, _ in self._last)])

    @property
    def bytes_per_second(self) -> float:
        """How fast a query may be."""
        return max([BYTES_PER_SECOND, *(size / seconds for size, seconds in self._last)])

    async def of(
        self, session: Session, queries: Collection[str | None], context: Context, *, since: float, wrote: bool = False
    ) -> dict[str, float]:
        """Return what queries of this session have scanned, if a limit holds for it; nothing if nobody says it in time.

        They began at `since`, in monotonic time; `wrote` says that they have changed something.
        """
        if SCANNED not in context.grants:
            return {}
        took = max(_MARGIN_SECONDS, time.monotonic() - since)
        seconds = min(_AFTER_WRITE_SECONDS if wrote else _SECONDS, context.deadline.remaining - _MARGIN_SECONDS)
        try:
            rows = await _history(session, replace(context, deadline=Deadline.after(seconds)))
        except CallError as error:
            # The call has been served: what it was granted counts, or more.
            log.warning("bytesScanned not known", request=context.request_id, reason=error.reason)
            return {}
        found = [float(size or 0) for query_id, size in rows if query_id in queries]
        if len(found) < len(queries):
            log.warning("bytesScanned not known", request=context.request_id, reason="NotInHistory")
            return {}
        self._last.append((max(found, default=0.0), took))
        return {SCANNED: sum(found)}


async def _history(session: Session, context: Context) -> list[Any]:
    cursor = await session.run(Statement(sql=_HISTORY, timeout_seconds=_SECONDS), context, reopen=False)
    try:
        with failures():
            rows: list[Any] = await cursor.fetchall()
    finally:
        cursor.close()
    return rows
