"""Reports to the control process: every few seconds, if there is something; what does not arrive is kept, bounded."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import structlog

from ringfence_gateway.record import Record
from ringfence_gateway.subscription import NotConnectedError, RefusedError

EVERY_SECONDS = 10.0

Send = Callable[[bytes], Awaitable[None]]
_log = structlog.get_logger()


async def report_forever(record: Record, send: Send, *, node: str, seconds: float = EVERY_SECONDS) -> None:
    """Send what was counted, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await report_once(record, send, node=node)


async def report_once(record: Record, send: Send, *, node: str) -> None:
    """Send what was counted since the last report, and count what does not arrive again."""
    for part in record.take().parts():
        try:
            await send(json.dumps({"node": node, **part.to_wire()}, separators=(",", ":")).encode())
        except NotConnectedError as error:
            _log.debug("report not sent", reason=str(error))
            record.give_back(part)
        except RefusedError as error:
            _log.error("report refused", reason=str(error))
