"""One call's way through the pipeline: what is known of it so far, whatever becomes of it."""

import asyncio
import math
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ringfence_sidecar.answer import Answer
from ringfence_sidecar.audit.record import SUMMARY_CHARACTERS, Record, Who, digest
from ringfence_sidecar.call import Call
from ringfence_sidecar.connectors.base import Effect, Prepared
from ringfence_sidecar.envelope import CacheInfo, Envelope, Metadata, Notice, failed
from ringfence_sidecar.errors import CallError, LimitedError, NotOfferedError, Status
from ringfence_sidecar.quota import CALLS, GIVEN, HELD, SCANNED, Reservation
from ringfence_sidecar.routing.plan import Track

Due = Sequence[tuple[Reservation, Mapping[str, float]]]
_FRAMES = 8
_REFUSED = frozenset({Status.INVALID, Status.REFUSED, Status.LIMITED})
_DIGITS = 6
"""Of what is used: millionths of a second, and whole bytes."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What has been taken of quotas, and is to be settled."""

    reservation: Reservation
    asked: Mapping[str, float]
    """What was asked for: of these resources it is told what was used."""
    is_piece: bool = False
    """True for what the next piece of a stream costs."""


class Passage:
    """Filled in step by step; the envelope, the audit line and the metrics are read from it."""

    def __init__(self, call: Call, who: Who) -> None:
        self.call = call
        self.who = who
        self.started = time.monotonic()
        self._stopped = 0.0
        self.track = Track()
        self.connector = ""
        """Empty until it is known to exist: only then is it a label."""
        self.operation = ""
        self.prepared: Prepared | None = None
        self.reservations: list[Reserved] = []
        """What is to be settled."""
        self.settled: dict[str, float] = {}
        """What was used of quotas, as they were told: by resource."""
        self.asking: asyncio.Future[None] | None = None
        """Done once the backend is not asked any more, which may be after the caller has gone."""
        self.invalidates: frozenset[str] = frozenset()
        """Tags to drop once it has been done, or may have been,"""
        self.related: tuple[str, ...] = ()
        """of these connectors: another of the same kind may read the same backend."""
        self.decision = "none"
        self.rule = ""
        self.quota = ""
        """The quota that refused."""
        self.cache: CacheInfo | None = None
        self.used: Mapping[str, float] | None = None
        """What the backend said was used, once it has."""
        self.backend_id: str | None = None
        self.bytes_out = 0
        self.warnings: list[Notice] = []
        self.status = Status.CANCELLED
        self.code = ""
        self.outcome_unknown = False
        self.is_answered = False
        """True once the cache has answered: what it asks from then on is for itself."""
        self.revalidates = False
        """True for a question of the cache's own, after its call has been answered with something stale."""

    @property
    def seconds(self) -> float:
        """How long it has taken; once the clock has been stopped, how long it took."""
        return (self._stopped or time.monotonic()) - self.started

    def stop_clock(self) -> None:
        """Say that nothing more comes, whatever became of it."""
        self._stopped = time.monotonic()

    def due(self) -> Due:
        """Return what each reservation is to be told, once; from then on the audit line has it, too."""
        taken, self.reservations = self.reservations, []
        if self.used is not None and "querySeconds" in self.used:
            self.used = {**self.used, "credits": self._credits(self.used["querySeconds"])}
        due = [
            (each.reservation, {resource: self._used_of(resource, each) for resource in each.asked}) for each in taken
        ]
        for _, used in due:
            self._note(used)
        return due

    def piece(self, used: Mapping[str, float]) -> Due:
        """Return what the reservation of a stream's piece is to be told."""
        taken = [each for each in self.reservations if each.is_piece]
        self.reservations = [each for each in self.reservations if not each.is_piece]
        scanned = self._scanned(sum(_granted(SCANNED, each) for each in taken if SCANNED in each.asked))
        used = {SCANNED: scanned, **used, "credits": self._credits(used.get("querySeconds", 0))}
        due = [(each.reservation, {name: round(used.get(name, 0), _DIGITS) for name in each.asked}) for each in taken]
        for _, mine in due:
            self._note(mine)
        return due

    def _used_of(self, resource: str, reserved: Reserved) -> float:
        """Return what was used of one resource: as the backend said, and as far as nobody knows, all of it."""
        if resource in CALLS:
            return float(resource not in HELD and self.decision != "refused")
        if not (self.track.sent or self.used is not None):
            return 0
        if self.used is not None and resource in self.used:
            return round(self.used[resource], _DIGITS)
        amount = _granted(resource, reserved)
        if resource in HELD:
            return 0
        if resource == SCANNED:
            amount = self._scanned(amount)
        elif self.used is None and not (self._is_unknown and resource not in GIVEN):
            # It has failed, or nobody waits for it: it was asked, and it took its time.
            seconds = self.track.seconds
            spent = {"queries": amount, "querySeconds": seconds, "credits": self._credits(seconds)}
            amount = spent.get(resource, 0)
        return round(amount, _DIGITS)

    def _scanned(self, granted: float) -> float:
        """Return what counts as scanned where the backend has not said it: a call's end ends no limit.

        It may have read all that was reserved, unless the backend has refused it, and all that its time was enough for.
        """
        least = 0.0 if self.status in {Status.FAILED, Status.REFUSED} else granted
        return max(least, self.track.seconds * (self.prepared.bytes_scanned_per_second if self.prepared else 0.0))

    def _credits(self, seconds: float) -> float:
        """Return what so much time has cost where it was spent."""
        rates = self.prepared.credits_per_second if self.prepared else {}
        return seconds * rates.get(self.track.endpoint, max(rates.values(), default=0))

    @property
    def _is_unknown(self) -> bool:
        """Whether nobody knows if the backend has done it: for quotas, what may be done twice is no other matter."""
        may_go_on = self.status in {Status.CANCELLED, Status.TIMEOUT}
        writes = self.prepared is not None and self.prepared.effect is not Effect.READ
        return self.outcome_unknown or (may_go_on and writes)

    @property
    def may_yet_be_done(self) -> bool:
        """Whether the backend may do it after now, since nobody has heard how it ended."""
        return self.used is None and self._is_unknown

    def _note(self, used: Mapping[str, float]) -> None:
        for resource, amount in used.items():
            if amount:
                self.settled[resource] = round(self.settled.get(resource, 0) + amount, _DIGITS)

    @contextmanager
    def asks(self) -> Iterator[None]:
        """Ask the backend in the block."""
        asking = self.asking = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            asking.set_result(None)

    @property
    def is_asking(self) -> bool:
        """Whether the backend is asked, even though the caller may have gone."""
        return self.asking is not None and not self.asking.done()

    def served(self, answer: Answer) -> Envelope:
        """Return the envelope of an answer."""
        head = answer.head
        self.bytes_out += answer.size
        self.backend_id = head.backend_id
        self.status = Status.PARTIAL if head.partial else Status.OK
        warnings = (*head.warnings, *self.warnings)
        return Envelope(self.status, answer.data, head.message, (), warnings, self._metadata(head.details))

    def failed(self, error: CallError) -> Envelope:
        """Return the envelope of an error."""
        if error.outcome_unknown and self.may_have_written:
            # Whoever found it, a driver's own timeout too: asked again, it might be done twice.
            error.is_retryable = False
        self.status, self.code, self.outcome_unknown = error.status, error.reason, error.outcome_unknown
        self.backend_id = error.backend_id or self.backend_id
        if error.rule:
            self.rule = error.rule
        if isinstance(error, LimitedError):
            self.quota = str(error.details.get("quota", ""))
        if (error.status in _REFUSED or isinstance(error, NotOfferedError)) and not self.track.sent:
            self.decision = "refused"
        return failed(error, self._metadata(None), warnings=tuple(self.warnings))

    def judged(self, envelope: Envelope) -> None:
        """Take over the envelope of a call that was served elsewhere."""
        self.status, self.cache = envelope.status, envelope.metadata.cache
        if envelope.errors:
            first = envelope.errors[0]
            self.code, self.rule, self.quota = first.code, first.rule, first.quota
        if isinstance(envelope.data, msgspec.Raw):
            self.bytes_out += memoryview(envelope.data).nbytes
        self.decision = "refused" if envelope.status in _REFUSED else "allowed"

    def warn(self, envelope: Envelope) -> Envelope:
        """Return the envelope with the warnings of this call besides its own."""
        if not self.warnings:
            return envelope
        return msgspec.structs.replace(envelope, warnings=(*envelope.warnings, *self.warnings))

    def again(self) -> "Passage":
        """Return the passage of the same question, asked by the cache."""
        passage = Passage(self.call, self.who)
        passage.connector, passage.operation = self.connector, self.operation
        passage.prepared, passage.decision, passage.rule = self.prepared, self.decision, self.rule
        passage.revalidates = True
        return passage

    def ended(self) -> None:
        """Say that a stream came to its end, after whatever pieces."""
        if self.status is Status.CANCELLED:
            self.status = Status.OK

    def left(self) -> None:
        """Say that the caller has gone."""
        self.status, self.code = Status.CANCELLED, "Cancelled"
        self.outcome_unknown = self.may_have_written

    @property
    def may_have_written(self) -> bool:
        """Whether a backend may have done what must not be done twice."""
        return self.track.sent and self.prepared is not None and self.prepared.effect is Effect.WRITE

    def record(self) -> Record:
        """Return the audit line's content."""
        arguments_hash, bytes_in = digest(self.call.arguments)
        return Record(
            who=self.who,
            request_id=self.call.request_id,
            trace_id=self.call.trace.trace_id,
            protocol=self.call.protocol,
            connector=self.connector or self.call.connector[:63],
            operation=self.operation or self.call.operation[:63],
            summary=self.prepared.summary[:SUMMARY_CHARACTERS] if self.prepared else "",
            arguments_hash=arguments_hash,
            decision=self.decision,
            rule=self.rule,
            cache=self._cache_state(),
            endpoint=self.track.endpoint,
            attempts=self.track.attempts,
            backend_id=self.backend_id or "",
            bytes_in=bytes_in,
            bytes_out=self.bytes_out,
            duration_ms=round(self.seconds * 1000, 3),
            outcome=self.status,
            code=self.code,
            outcome_unknown=self.outcome_unknown,
            used=self.settled,
            quota=self.quota,
        )

    def _cache_state(self) -> str:
        if self.revalidates:
            return "revalidate"
        return f"{self.cache.layer}{':stale' if self.cache.stale else ''}" if self.cache else "none"

    def _metadata(self, details: dict[str, object] | None) -> Metadata:
        return Metadata(
            request_id=self.call.request_id,
            trace_id=self.call.trace.trace_id,
            connector=self.connector,
            operation=self.operation,
            endpoint=self.track.endpoint,
            duration_ms=round(self.seconds * 1000, 3),
            cache=self.cache,
            attempts=self.track.attempts,
            backend_id=self.backend_id,
            details=details,
        )


def _granted(resource: str, reserved: Reserved) -> float:
    return min(reserved.asked[resource], reserved.reservation.grants.get(resource, math.inf))


def places(error: BaseException) -> list[str]:
    """Return where an error came from, innermost last: functions and lines, never its text, which may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
