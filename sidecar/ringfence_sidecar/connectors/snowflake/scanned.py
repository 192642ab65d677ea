"""bytesScanned: what queries have read, which only Snowflake's history of the session says, once they are over.

The driver is not told. The history costs one more statement, on the session's own warehouse, so only calls ask that a
limit holds for: what they reserve is one byte, and what they overshoot is what the calls under way scan.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import structlog

from ringfence_sidecar.call import Context, Deadline
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.errors import CallError

RESOURCE = "bytesScanned"
_SECONDS = 10.0
_AFTER_WRITE_SECONDS = 1.0
"""What has been done is not kept waiting for a figure."""
_MARGIN_SECONDS = 0.1
"""Left of the call's time for its answer: what has been done would be told as unknown."""
_HISTORY = "SELECT QUERY_ID, BYTES_SCANNED FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION(RESULT_LIMIT => 100))"

log = structlog.get_logger()


async def scanned(
    session: Session, queries: Collection[str | None], context: Context, *, wrote: bool = False
) -> dict[str, float]:
    """Return what the queries of this session have scanned, if a limit holds for it; nothing if nobody says it in time.

    `wrote` says that they have changed something.
    """
    if RESOURCE not in context.grants:
        return {}
    seconds = min(_AFTER_WRITE_SECONDS if wrote else _SECONDS, context.deadline.remaining - _MARGIN_SECONDS)
    try:
        mine = replace(context, deadline=Deadline.after(seconds))
        cursor = await session.run(Statement(sql=_HISTORY, timeout_seconds=_SECONDS), mine, reopen=False)
        try:
            with failures():
                rows: list[Any] = await cursor.fetchall()
        finally:
            cursor.close()
    except CallError as error:
        # The call has been served: what it was granted counts.
        log.warning("bytesScanned not known", request=context.request_id, reason=error.reason)
        return {}
    return {RESOURCE: float(sum(int(size or 0) for query_id, size in rows if query_id in queries))}
