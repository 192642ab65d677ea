"""What meters had counted that are gone, kept for an operator that begins: it knows only what it is told."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from ringfence_gateway.meter.history import GRAINS

MOST_AGENTS = 50_000
"""As many as the operator remembers; of more, the one is forgotten that was given first."""
_LONGEST = "Month"
_COUNTS = ("total", "open", "refused", "cut")


class MeterPast:
    """By the UID of the agent, as the operator has given it."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts: dict[str, list[dict[str, Any]]] = {}

    def put(self, name: str, value: bytes) -> None:
        """Take an agent's. Raises ValueError."""
        try:
            counts = [_count(each) for each in json.loads(value)["counts"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not what meters had counted: {error!r}") from error
        self._counts.pop(name, None)
        self._counts[name] = counts
        if len(self._counts) > MOST_AGENTS:
            del self._counts[next(iter(self._counts))]

    def remove(self, name: str) -> None:
        """Keep it all the same: an operator that begins knows of none of it before it is told."""

    def reports(self, *, most: int) -> Iterator[dict[str, Any]]:
        """Yield it in the form in which meters tell, `most` agents at a time; what is too old is forgotten."""
        self._forget()
        by_meter = defaultdict(list)
        for agent, counts in self._counts.items():
            for count in counts:
                told = {name: value for name, value in count.items() if name != "meter"}
                by_meter[count["meter"]].append({"agent": agent, **told})
        for meter, agents in by_meter.items():
            for first in range(0, len(agents), most):
                yield {"meter": meter, "isPast": True, "agents": agents[first : first + most]}

    def _forget(self) -> None:
        grain = GRAINS[_LONGEST]
        oldest = grain.slot(self._clock()) - grain.kept + 1
        for agent, counts in list(self._counts.items()):
            kept = [each for each in counts if max(map(int, each["slots"].get(_LONGEST, ())), default=0) >= oldest]
            if kept:
                self._counts[agent] = kept
            else:
                del self._counts[agent]


def _count(told: dict[str, Any]) -> dict[str, Any]:
    slots = {
        str(window): {str(int(slot)): int(count) for slot, count in found.items()}
        for window, found in told["slots"].items()
    }
    pods = {str(pod): int(total) for pod, total in told["pods"].items()}
    return {"meter": str(told["meter"]), **{name: int(told[name]) for name in _COUNTS}, "pods": pods, "slots": slots}
