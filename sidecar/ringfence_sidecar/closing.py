"""What is left of a call when it has ended: its audit line, its figures, its span."""

from ringfence_sidecar.afterwards import Afterwards
from ringfence_sidecar.audit.trail import Place
from ringfence_sidecar.metrics import Metrics
from ringfence_sidecar.passage import Passage
from ringfence_sidecar.settlement import Settlement
from ringfence_sidecar.tracing import Tracer


class Closing:
    """Accounts for each call once, after its answer is out."""

    def __init__(self, settlement: Settlement, metrics: Metrics, tracer: Tracer) -> None:
        self._settlement = settlement
        self._metrics = metrics
        self._tracer = tracer
        self._afterwards = Afterwards()

    def end(self, passage: Passage, place: Place) -> None:
        """End it. Its line has its place already, and is written once the answer is out."""
        passage.stop_clock()
        if passage.is_asking:
            # The line says what was used, and that is not known yet.
            self._settlement.after(passage, lambda: self._afterwards.add(lambda: self._account(passage, place)))
        else:
            self._afterwards.add(lambda: self._account(passage, place))

    def finish(self) -> None:
        """Do at once what has not been done yet."""
        self._afterwards.finish()

    def _account(self, passage: Passage, place: Place) -> None:
        place.write(passage.record())
        seconds = passage.seconds
        self._metrics.observe(
            passage.connector, passage.operation, passage.status, seconds=seconds, backend=passage.track.seconds
        )
        self._tracer.record(
            passage.call.trace,
            f"{passage.connector} {passage.operation}".strip() or "call",
            seconds,
            attributes={"ringfence.request_id": passage.call.request_id, "ringfence.status": passage.status},
            error=passage.code,
        )
