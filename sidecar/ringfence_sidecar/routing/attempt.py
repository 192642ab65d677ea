"""One attempt of a call at one endpoint."""

import asyncio
import re
import time
from types import TracebackType
from typing import Any, Self

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Effect, Prepared
from ringfence_sidecar.errors import BackendError, BackendLostError, CallError, DeadlineError
from ringfence_sidecar.routing.breaker import Verdict
from ringfence_sidecar.routing.plan import Track
from ringfence_sidecar.routing.route import Route
from ringfence_sidecar.routing.session import EndpointLeftError, Held
from ringfence_sidecar.tracing import Tracer

_NUMBER = re.compile(r"\d+")
_FORM_CHARACTERS = 500


class Attempt:
    """Holds a session while it lasts; at its end the breaker learns what it says of the endpoint, whatever happens."""

    def __init__(
        self,
        route: Route,
        permit: int,
        *,
        prepared: Prepared,
        context: Context,
        track: Track,
        tracer: Tracer,
    ) -> None:
        self._route = route
        self._permit = permit
        self._prepared = prepared
        self._context = context
        self._track = track
        self._tracer = tracer
        self._held: Held[Any] | None = None
        self._started = 0.0
        self._was_sent = False
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._is_given_up = False

    def may_be_given_up(self) -> None:
        """Let the endpoint's monitor end it, if it may be made elsewhere."""
        if self._prepared.effect is not Effect.WRITE and self._prepared.endpoint is None:
            self._task = asyncio.current_task()
            self._cancelling = self._task.cancelling() if self._task else 0
            self._route.at_work.add(self)

    def give_up(self) -> None:
        """End it as one whose endpoint was lost. The driver is cancelled."""
        if self._task is not None and not self._is_given_up:
            self._is_given_up = True
            self._task.cancel()

    @property
    def session(self) -> Any:
        """The session to ask."""
        assert self._held is not None  # noqa: S101 - entered
        return self._held.session

    async def __aenter__(self) -> Self:
        self._track.endpoint = self._route.endpoint.name
        self._track.attempts += 1
        try:
            self._held = await self._route.sessions.acquire(self._context.deadline)
        except EndpointLeftError:
            self._track.attempts -= 1
            self._route.breaker.abandon(self._permit)
            raise
        except BackendLostError:
            self._route.breaker.record(self._permit, Verdict.LOST)
            self._route.tally.lost += 1
            raise
        except BaseException:
            self._route.breaker.abandon(self._permit)
            raise
        self._started = time.monotonic()
        self._was_sent = self._track.sent
        self._track.sent = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._started
        self._track.seconds += seconds
        self._route.at_work.discard(self)
        told = self._told(error)
        self._end(told, seconds)
        if told is not error and told is not None:
            raise told from error

    def _told(self, error: BaseException | None) -> BaseException | None:
        """Return the error as the tree of errors has it."""
        # If the caller has gone as well, it stays a cancellation.
        was_given_up = self._is_given_up and self._task is not None and self._task.uncancel() <= self._cancelling
        if was_given_up and isinstance(error, asyncio.CancelledError):
            return BackendLostError("the endpoint was found dead during the call", outcome_unknown=True)
        if isinstance(error, OSError):
            return BackendLostError("the connection to the endpoint broke during the call", outcome_unknown=True)
        return error

    def _end(self, error: BaseException | None, seconds: float) -> None:
        assert self._held is not None  # noqa: S101 - entered
        verdict, broken = judged(error)
        self._route.sessions.release(self._held, broken=broken)
        self._route.breaker.record(self._permit, verdict, work_of(self._prepared), seconds)
        if verdict is Verdict.LOST:
            self._route.tally.lost += 1
            self._route.sessions.doubt()
        elif verdict is not Verdict.ABANDONED:
            self._route.tally.served += 1
            self._route.tally.seconds += seconds
        self._tracer.record(
            self._context.trace,
            self._prepared.operation.name,
            seconds,
            client=True,
            attributes={"server.address": self._route.endpoint.host, "ringfence.endpoint": self._route.endpoint.name},
            error=type(error).__name__ if error is not None else "",
        )
        if isinstance(error, BackendLostError) and not error.outcome_unknown:
            # The connector says that nothing of this attempt has arrived.
            self._track.sent = self._was_sent


def work_of(prepared: Prepared) -> str:
    """Return what the attempt's latency may be compared with: questions of the same form; nothing, if it waits."""
    operation = prepared.operation
    return "" if operation.waits else f"{operation.name} {_NUMBER.sub('#', prepared.summary[:_FORM_CHARACTERS])}"


def judged(error: BaseException | None) -> tuple[Verdict, bool]:
    """Return what an attempt's end says of the endpoint, and whether its session is in doubt."""
    match error:
        case None:
            return Verdict.SERVED, False
        case BackendLostError() | OSError():
            return Verdict.LOST, True
        case DeadlineError() | asyncio.CancelledError() | GeneratorExit():
            return Verdict.ABANDONED, True
        case BackendError() | CallError():
            return Verdict.REFUSED, False
        case _:
            return Verdict.ABANDONED, True
