"""Says what is waited for, once the wait is longer than people take for an answer."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from ringfence_cli.output.screen import err, plain

PATIENCE = 2.0


class Progress:
    """On a terminal one line that moves and goes; elsewhere a line for each change. On standard error."""

    def __init__(
        self, text: str, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or err()
        self._clock = clock
        self._begun = clock()
        self._text = text
        self._told = ""
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def say(self, text: str = "") -> None:
        """Have this said from now on; without a text, see whether it is time to say what was. Call it now and then."""
        self._text = plain(text) or self._text
        if self._clock() - self._begun < PATIENCE or self._text == self._told:
            return
        self._told = self._text
        if not self._console.is_terminal:
            self._console.print(f"{self._text} …")
        elif self._status is None:
            self._status = self._console.status(self._text)
            self._status.start()
        else:
            self._status.update(self._text)

    def stop(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None
