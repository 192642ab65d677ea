"""What both surfaces ask: the pipeline, and what the sidecar does itself. Each call leaves an audit line."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Protocol

import msgspec

from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.call import Call
from ringfence_sidecar.connectors.base import Operation
from ringfence_sidecar.elsewhere import Elsewhere
from ringfence_sidecar.envelope import Envelope, Metadata, Notice, failed
from ringfence_sidecar.errors import CallError, NotConfiguredError, Status
from ringfence_sidecar.payloads import Payloads
from ringfence_sidecar.quota import LimitStanding, Quota, QuotaStanding

_ENCODER = msgspec.json.Encoder()


class Pipeline(Protocol):
    """The one way of every call to a backend."""

    async def run(self, call: Call) -> Envelope:
        """Serve a call; what goes wrong is in the envelope."""

    def stream(self, call: Call) -> AsyncGenerator[Envelope, None]:
        """Serve a call piece by piece; closing the generator cancels it."""

    async def account(self, call: Call, serve: Callable[[], Awaitable[Envelope]]) -> Envelope:
        """Audit a call that is served without a connector."""

    def bound(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return each connector's permitted operations."""


class Service:
    """Serves calls of both surfaces. Until `is_configured` says True, all are refused."""

    def __init__(
        self,
        pipeline: Pipeline,
        builtin: Builtin,
        payloads: Payloads,
        *,
        is_configured: Callable[[], bool],
        quota: Quota | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._payloads = payloads
        self._is_configured = is_configured
        self._quota = quota
        self._elsewhere = elsewhere or Elsewhere()
        self.builtin = builtin

    def connectors(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return the permitted operations of each bound connector."""
        return self._pipeline.bound()

    async def standing(self) -> QuotaStanding:
        """Return where quotas stand for this agent: no call, and it costs nothing. Raises NotConfiguredError."""
        if not self._is_configured():
            raise _not_configured()
        own = await self._quota.budgets() if self._quota is not None else ()
        return QuotaStanding((*map(LimitStanding.of, own), *await self._elsewhere.standing()))

    async def run(self, call: Call) -> Envelope:
        """Serve a call of a connector; what goes wrong is in the envelope."""
        try:
            warnings = self._payloads.check(call)
        except CallError as error:
            return await self.refuse(call, error)
        return warned(await self._pipeline.run(call), warnings)

    async def run_own(self, call: Call) -> Envelope:
        """Serve a call of the sidecar's own; a connector may have the same name."""
        return await self._pipeline.account(call, lambda: self._own(call))

    async def stream(self, call: Call) -> AsyncGenerator[Envelope, None]:
        """Serve a call piece by piece; close the generator to end it."""
        try:
            warnings = self._payloads.check(call)
        except CallError as error:
            yield await self.refuse(call, error)
            return
        async with aclosing(self._pipeline.stream(call)) as pieces:
            async for piece in pieces:
                yield warned(piece, warnings)
                warnings = ()

    async def refuse(self, call: Call, error: CallError) -> Envelope:
        """Answer a call that is not served, and audit it."""

        async def serve() -> Envelope:
            return failed(error, _metadata(call))

        return await self._pipeline.account(call, serve)

    async def _own(self, call: Call) -> Envelope:
        begun = time.perf_counter()
        try:
            if not self._is_configured():
                raise _not_configured()
            data, warnings, cache = await self.builtin.run(call)
        except CallError as error:
            return failed(error, _metadata(call))
        took = round((time.perf_counter() - begun) * 1000, 3)
        about = msgspec.structs.replace(_metadata(call), duration_ms=took, cache=cache)
        return Envelope(Status.OK, msgspec.Raw(_ENCODER.encode(data)), "", (), warnings, about)


def warned(envelope: Envelope, warnings: tuple[Notice, ...]) -> Envelope:
    """Return the envelope with more warnings before its own."""
    return msgspec.structs.replace(envelope, warnings=(*warnings, *envelope.warnings)) if warnings else envelope


def _metadata(call: Call) -> Metadata:
    return Metadata(call.request_id, call.trace.trace_id, call.connector, call.operation)


def _not_configured() -> NotConfiguredError:
    return NotConfiguredError(
        "the sidecar has never had its configuration from the operator: it refuses every call until it has",
        retry_after=1.0,
    )
