"""Progress that a person can follow: one line per step, with the time since the start."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints steps as they end; safe to use from several threads."""

    def __init__(self, title: str) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._say(title)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @contextmanager
    def step(self, name: str, *, announce: bool = False) -> Iterator[None]:
        """Time the block and print how it ended; `announce` also says that a long one has begun."""
        begun = time.monotonic()
        if announce:
            self.note(f"… {name}")
        try:
            yield
        except BaseException:
            self.note(f"✗ {name} ({time.monotonic() - begun:.1f} s)")
            raise
        self.note(f"✓ {name} ({time.monotonic() - begun:.1f} s)")

    def note(self, text: str) -> None:
        """Print a line with the elapsed time."""
        self._say(f"{self.elapsed:7.1f} s  {text}")

    def _say(self, text: str) -> None:
        with self._lock:
            print(text, file=sys.stderr, flush=True)
