"""What both surfaces ask: the pipeline for connectors, and what the sidecar does itself."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Protocol

import msgspec

from ringfence_sidecar.asgi import closing
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.call import Call
from ringfence_sidecar.configuration import Configuration
from ringfence_sidecar.connectors.base import Operation
from ringfence_sidecar.envelope import Envelope, Metadata, Notice, failed
from ringfence_sidecar.errors import CallError, NotConfiguredError, Status
from ringfence_sidecar.payloads import Payloads


class Pipeline(Protocol):
    """The one way of every call to a backend."""

    async def run(self, call: Call) -> Envelope:
        """Serve a call; what goes wrong is in the envelope."""

    def stream(self, call: Call) -> AsyncIterator[Envelope]:
        """Serve a call piece by piece."""

    def bound(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return each connector's permitted operations."""

    async def apply(self, configuration: Configuration) -> None:
        """Put a configuration in force."""

    async def close(self) -> None:
        """Let go of every session."""


class Service:
    """Serves calls of both surfaces. Until there is a configuration, all of them are refused."""

    def __init__(
        self, pipeline: Pipeline, builtin: Builtin, payloads: Payloads, *, is_configured: Callable[[], bool]
    ) -> None:
        self._pipeline = pipeline
        self._payloads = payloads
        self._is_configured = is_configured
        self.builtin = builtin

    def connectors(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return the permitted operations of each bound connector."""
        return self._pipeline.bound() if self._is_configured() else {}

    async def run(self, call: Call) -> Envelope:
        """Serve a call; what goes wrong is in the envelope."""
        try:
            warnings = self._admit(call)
        except CallError as error:
            return refused(call, error)
        if call.connector in self.builtin.operations:
            return await self._run_builtin(call)
        return warned(await self._pipeline.run(call), warnings)

    async def stream(self, call: Call) -> AsyncGenerator[Envelope, None]:
        """Serve a call piece by piece; close the generator to end it."""
        try:
            warnings = self._admit(call)
        except CallError as error:
            yield refused(call, error)
            return
        pieces = self._pipeline.stream(call)
        try:
            async for piece in pieces:
                yield warned(piece, warnings)
                warnings = ()
        finally:
            await closing(pieces)

    def _admit(self, call: Call) -> tuple[Notice, ...]:
        if not self._is_configured():
            raise NotConfiguredError(
                "the sidecar has no configuration from the operator yet, so nothing is open: try again", retry_after=1
            )
        return self._payloads.check(call)

    async def _run_builtin(self, call: Call) -> Envelope:
        begun = time.perf_counter()
        try:
            data, warnings = await self.builtin.run(call)
        except CallError as error:
            return refused(call, error)
        took = round((time.perf_counter() - begun) * 1000, 3)
        about = Metadata(call.request_id, call.trace.trace_id, call.connector, call.operation, duration_ms=took)
        return Envelope(Status.OK, data, "", (), warnings, about)


def refused(call: Call, error: CallError) -> Envelope:
    """Return the envelope of a call that got no further than here."""
    return failed(error, Metadata(call.request_id, call.trace.trace_id, call.connector, call.operation))


def warned(envelope: Envelope, warnings: tuple[Notice, ...]) -> Envelope:
    """Return the envelope with more warnings before its own."""
    return msgspec.structs.replace(envelope, warnings=(*warnings, *envelope.warnings)) if warnings else envelope
