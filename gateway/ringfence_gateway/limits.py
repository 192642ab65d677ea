"""How many connections Envoy has closed because a policy had too many: asked of its admin socket, told as a metric."""

import asyncio
import re
from pathlib import Path

from ringfence_gateway.admin import ask
from ringfence_gateway.port_set import block_of
from ringfence_gateway.record import Record

EVERY_SECONDS = 10.0
ANSWER_SECONDS = 2.0
LIMITS = {"listener_local_ratelimit": "new", "connection_limit": "open"}
_COUNTER = re.compile(
    r"^(listener_local_ratelimit|connection_limit)\.(p-\d{5})\.(?:rate_limited|limited_connections): (\d+)$",
    re.MULTILINE,
)
_COUNTERS = "/stats?usedonly&type=Counters&filter=limit"

Closed = dict[tuple[int, str], int]
"""Connections closed so far, by block and limit."""


async def watch_limits(record: Record, admin: Path, *, seconds: float = EVERY_SECONDS) -> None:
    """Tell `record` again and again, until cancelled; while Envoy does not answer, what it said last stays."""
    while True:
        await asyncio.sleep(seconds)
        closed = await read_limits(admin)
        if closed is not None:
            record.limited(closed)


async def read_limits(admin: Path) -> Closed | None:
    """Return what Envoy has closed since it was started, None if it does not say."""
    text = await ask(admin, _COUNTERS, seconds=ANSWER_SECONDS)
    return None if text is None else _closed(text)


def _closed(text: str) -> Closed:
    found: Closed = {}
    for kind, name, count in _COUNTER.findall(text):
        block = block_of(name)
        if block is not None:
            found[block, LIMITS[kind]] = int(count)
    return found
