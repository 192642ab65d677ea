"""Several calls in one request: each has its own envelope, and at most some are under way at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec

from ringfence_sidecar.call import Call
from ringfence_sidecar.correlation import KEY_FORM, Correlation, is_key
from ringfence_sidecar.envelope import Envelope, Metadata
from ringfence_sidecar.errors import Status

MOST_CALLS: Final = 100
MOST_AT_ONCE: Final = 16
_SERVED = (Status.OK, Status.PARTIAL)


class BatchCall(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One call."""

    connector: str
    operation: str
    arguments: dict[str, Any] = {}
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    no_cache: bool = False
    idempotency_key: Annotated[str, msgspec.Meta(max_length=255)] = ""

    def __post_init__(self) -> None:
        """Raise ValueError, which msgspec turns into its own error, for a key of another form."""
        if self.idempotency_key and not is_key(self.idempotency_key):
            raise ValueError(f"idempotencyKey must be {KEY_FORM}")


class Batch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Calls, and how many of them may be under way at once."""

    calls: Annotated[tuple[BatchCall, ...], msgspec.Meta(min_length=1, max_length=MOST_CALLS)]
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=MOST_AT_ONCE)] = 8


class BatchResult(msgspec.Struct, frozen=True, rename="camel"):
    """The envelope of each call, in the order of the calls."""

    items: tuple[Envelope, ...]


async def run_batch(batch: Batch, said: Correlation, run: Callable[[Call], Awaitable[Envelope]]) -> Envelope:
    """Return an envelope of envelopes: `partial` if any call was not served, with its errors and its index."""
    begun = time.perf_counter()
    places = asyncio.Semaphore(batch.concurrency)

    async def one(index: int, wanted: BatchCall) -> Envelope:
        async with places:
            return await run(_call_of(index, wanted, said))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(index, wanted)) for index, wanted in enumerate(batch.calls)]
    items = tuple(task.result() for task in tasks)
    errors = tuple(
        msgspec.structs.replace(error, index=index)
        for index, item in enumerate(items)
        if item.status not in _SERVED
        for error in item.errors
    )
    refused = sum(item.status not in _SERVED for item in items)
    status = Status.PARTIAL if refused else Status.OK
    message = f"{refused} of {len(items)} calls were not served" if refused else ""
    took = round((time.perf_counter() - begun) * 1000, 3)
    metadata = Metadata(said.request_id, said.trace.trace_id, duration_ms=took)
    return Envelope(status, BatchResult(items), message, errors, (), metadata)


def _call_of(index: int, wanted: BatchCall, said: Correlation) -> Call:
    return Call(
        request_id=f"{said.request_id}-{index}",
        connector=wanted.connector,
        operation=wanted.operation,
        arguments=wanted.arguments,
        trace=said.trace,
        protocol="rest",
        timeout_seconds=wanted.timeout_seconds or said.timeout_seconds,
        no_cache=wanted.no_cache or said.no_cache,
        idempotency_key=wanted.idempotency_key,
    )
