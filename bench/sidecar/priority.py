"""Going before others on the processors: on a shared machine, they would be all that is seen of a 99th percentile."""

import os
from pathlib import Path

_OURS, _LATER = 2, 1


def go_first() -> None:
    """Let this process, and what it starts, run before all that is not real-time. Raises PermissionError."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_OURS))


def is_first() -> bool:
    """Return True after `go_first`."""
    return os.sched_getscheduler(0) == os.SCHED_RR


def let_others_first(pid: int) -> None:
    """Let a process of ours run after the others of ours.

    A database that computes would else keep its processor for a whole slice of 100 ms, and a Redis waiting for it: in a
    cluster they share none.
    """
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(_LATER))
