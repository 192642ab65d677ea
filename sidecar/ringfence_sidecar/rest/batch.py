"""Several calls in one request: each has its own envelope, and at most some are under way at once."""

import asyncio
import time
from typing import Annotated, Any, Final, Protocol

import msgspec

from ringfence_sidecar.call import Call
from ringfence_sidecar.correlation import KEY_FORM, Correlation, is_key
from ringfence_sidecar.envelope import Envelope, Metadata, Parts, Problem, around, parts_of
from ringfence_sidecar.errors import CallError, LimitedError, Status

MOST_CALLS: Final = 100
MOST_AT_ONCE: Final = 16
MOST_BYTES: Final = 33_554_432
"""Once the answers have so many, no further call is begun."""
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
    """The envelope of each call, in the order of the calls; what is answered is never there as a whole."""

    items: tuple[Envelope, ...]


class Serves(Protocol):
    """What serves the calls."""

    async def run(self, call: Call) -> Envelope:
        """Serve a call."""

    async def refuse(self, call: Call, error: CallError) -> Envelope:
        """Answer a call that is not served."""


async def run_batch(batch: Batch, said: Correlation, service: Serves) -> Parts:
    """Return an envelope of envelopes, as JSON in parts: `partial` if any call was not served.

    Its errors are theirs, each with its call's index.
    """
    begun = time.perf_counter()
    places = asyncio.Semaphore(batch.concurrency)
    items: list[Parts] = [()] * len(batch.calls)
    errors: dict[int, tuple[Problem, ...]] = {}

    async def one(index: int, wanted: BatchCall) -> None:
        call = _call_of(index, wanted, said)
        async with places:
            is_full = sum(len(part) for parts in items for part in parts) >= MOST_BYTES
            envelope = await (service.refuse(call, _full()) if is_full else service.run(call))
            items[index] = parts_of(envelope)
        if envelope.status not in _SERVED:
            errors[index] = tuple(msgspec.structs.replace(error, index=index) for error in envelope.errors)

    async with asyncio.TaskGroup() as group:
        for index, wanted in enumerate(batch.calls):
            group.create_task(one(index, wanted))
    status = Status.PARTIAL if errors else Status.OK
    message = f"{len(errors)} of {len(items)} calls were not served" if errors else ""
    took = round((time.perf_counter() - begun) * 1000, 3)
    metadata = Metadata(said.request_id, said.trace.trace_id, duration_ms=took)
    all_errors = tuple(error for _, mine in sorted(errors.items()) for error in mine)
    first, *others = items
    data = (b'{"items":[', *first, *(part for item in others for part in (b",", *item)), b"]}")
    return around(Envelope(status, None, message, all_errors, (), metadata), *data)


def _full() -> LimitedError:
    return LimitedError(
        f"the answers of this batch have {MOST_BYTES} bytes already: ask for this one in another batch",
        code="BatchTooLarge",
        rule="batch.bytes",
    )


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
