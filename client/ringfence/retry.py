"""When a call is made again; nothing is, unless the program asks for it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from ringfence.errors import RingfenceError

_FIRST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Retry:
    """Make calls again that may be, after what `Retry-After` says, or else after a short time that doubles.

    A call whose outcome is unknown is never made again: the sidecar says which ones may be.
    """

    attempts: int = 3
    """How often a call is made at most, the first time included."""
    longest_seconds: float = 30.0
    """A call that would have to wait for longer fails at once."""
    share: Callable[[], float] = random.random
    """Which share of a time that nobody has named is waited, so that many agents do not come back at once."""

    def delay(self, error: RingfenceError, attempt: int) -> float | None:
        """Return after how many seconds to make a call again whose `attempt`, from 1, has failed; None for never."""
        if not error.retryable or attempt >= self.attempts:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_seconds else None
        return min(_FIRST_SECONDS * float(2 ** (attempt - 1)), self.longest_seconds) * self.share()
