"""What both surfaces ask: the pipeline, and what the sidecar does itself. Each call leaves an audit line."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Protocol

import msgspec

from ringfence_sidecar.answer import Answer, encoded
from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.call import Call
from ringfence_sidecar.configuration import Configuration
from ringfence_sidecar.connectors.base import Operation, Outcome
from ringfence_sidecar.envelope import CacheInfo, Envelope, Notice
from ringfence_sidecar.errors import CallError, NotConfiguredError
from ringfence_sidecar.passage import Passage
from ringfence_sidecar.payloads import Payloads


class Pipeline(Protocol):
    """The one way of every call to a backend."""

    async def run(self, call: Call) -> Envelope:
        """Serve a call; what goes wrong is in the envelope."""

    def stream(self, call: Call) -> AsyncGenerator[Envelope, None]:
        """Serve a call piece by piece; closing the generator cancels it."""

    def bound(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return each connector's permitted operations."""


class Service:
    """Serves calls of both surfaces. `current` is asked for each: until there is a configuration, all are refused."""

    def __init__(
        self,
        pipeline: Pipeline,
        builtin: Builtin,
        payloads: Payloads,
        *,
        audit: Trail,
        current: Callable[[], Configuration | None],
        pod: str = "",
    ) -> None:
        self._pipeline = pipeline
        self._payloads = payloads
        self._audit = audit
        self._current = current
        self._pod = pod
        self.builtin = builtin

    def connectors(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return the permitted operations of each bound connector."""
        return self._pipeline.bound()

    async def run(self, call: Call) -> Envelope:
        """Serve a call; what goes wrong is in the envelope."""
        if call.connector in self.builtin.operations:
            return await self._own(call, self._run_builtin)
        try:
            warnings = self._payloads.check(call)
        except CallError as error:
            return await self._own(call, _raising(error))
        return warned(await self._pipeline.run(call), warnings)

    async def stream(self, call: Call) -> AsyncGenerator[Envelope, None]:
        """Serve a call piece by piece; close the generator to end it."""
        try:
            warnings = self._payloads.check(call)
        except CallError as error:
            yield await self._own(call, _raising(error))
            return
        async with aclosing(self._pipeline.stream(call)) as pieces:
            async for piece in pieces:
                yield warned(piece, warnings)
                warnings = ()

    async def _own(self, call: Call, work: Callable[[Call], Awaitable[tuple[Answer, CacheInfo | None]]]) -> Envelope:
        """Serve a call that no backend is asked for, and audit it."""
        configuration = self._current()
        agent = configuration.agent if configuration else None
        passage = Passage(call, Who(agent.namespace, agent.name, agent.uid, self._pod) if agent else Who(pod=self._pod))
        try:
            place = await self._audit.reserve()
        except CallError as error:
            return passage.failed(error)
        try:
            answer, passage.cache = await work(call)
            passage.connector, passage.operation, passage.decision = call.connector, call.operation, "allowed"
            return passage.served(answer)
        except CallError as error:
            return passage.failed(error)
        except asyncio.CancelledError:
            passage.left()
            raise
        finally:
            place.write(passage.record())

    async def _run_builtin(self, call: Call) -> tuple[Answer, CacheInfo | None]:
        if self._current() is None:
            raise NotConfiguredError(
                "the sidecar has never had its configuration from the operator: it refuses every call until it has",
                retry_after=1.0,
            )
        data, warnings, cache = await self.builtin.run(call)
        return encoded(Outcome(data=data, warnings=warnings)), cache


def warned(envelope: Envelope, warnings: tuple[Notice, ...]) -> Envelope:
    """Return the envelope with more warnings before its own."""
    return msgspec.structs.replace(envelope, warnings=(*warnings, *envelope.warnings)) if warnings else envelope


def _raising(error: CallError) -> Callable[[Call], Awaitable[tuple[Answer, CacheInfo | None]]]:
    async def work(_: Call) -> tuple[Answer, CacheInfo | None]:
        raise error

    return work
