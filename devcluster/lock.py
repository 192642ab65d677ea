"""One command at a time per cluster, and one builder at a time per machine."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path`; the kernel lets go of it when we die. `on_wait` is called if another holds it.

    Who holds the lock may delete the file: those who wait for it notice and use the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_current(path, file):
                yield
                return


def _is_current(path: Path, file: TextIO) -> bool:
    """True if the open file is still the one of that name."""
    return path.exists() and path.samefile(f"/proc/self/fd/{file.fileno()}")
