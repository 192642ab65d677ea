"""When a call is tried again: how long it waits, and how much of the traffic may be retries."""

from collections.abc import Callable

BASE_SECONDS = 0.05
LONGEST_SECONDS = 2.0


def backoff(turn: int, draw: Callable[[], float]) -> float:
    """Return the seconds to wait before the turn-th repetition (from 1): exponential, with full jitter."""
    longest: float = min(LONGEST_SECONDS, BASE_SECONDS * 2.0**turn)
    return draw() * longest


class Budget:
    """Retries as a share of calls, so that an outage is not met with a multiple of the load.

    It starts full: what is in flight when an endpoint dies may go elsewhere at once.
    """

    def __init__(self, *, ratio: float = 0.2, reserve: float = 100.0) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._left = reserve

    def deposit(self) -> None:
        """Count a call."""
        self._left = min(self._reserve, self._left + self._ratio)

    def withdraw(self) -> bool:
        """Take one retry; False if none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
