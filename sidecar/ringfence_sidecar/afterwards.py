"""What a call leaves to be done once its answer is on its way."""

import asyncio
from collections import deque
from collections.abc import Callable


class Afterwards:
    """Does work in the loop's next turn, in the order in which it came, and at the latest in `finish`.

    An answer is written in the turn in which its call ends, so what comes here costs the caller nothing.
    """

    def __init__(self) -> None:
        self._work: deque[Callable[[], None]] = deque()

    def add(self, work: Callable[[], None]) -> None:
        """Have it done. What it raises goes to the loop's exception handler."""
        if not self._work:
            asyncio.get_running_loop().call_soon(self.finish)
        self._work.append(work)

    def finish(self) -> None:
        """Do what has not been done yet; if one raises, then the rest in the turn after this."""
        try:
            while self._work:
                self._work.popleft()()
        finally:
            if self._work:
                asyncio.get_running_loop().call_soon(self.finish)
