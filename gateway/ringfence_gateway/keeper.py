"""Keeps a program running: one that is killed is back at once, and not after the kubelet's pause."""

import os
import signal
import sys
import time
from collections.abc import Sequence

LEAST_SECONDS = 10.0
"""A program that ran for less is not started again: what it fails of is for the kubelet to show, and to slow down."""
_KILLED = 128
"""Added to a signal's number it is an exit code, as shells have it."""
_TOLD = frozenset({signal.SIGTERM, signal.SIGINT})
_HEARD = _TOLD | {signal.SIGCHLD}


class Keeper:
    """The first process of a container whose program is `command`. SIGTERM and SIGINT are handed on, and end it."""

    def __init__(self, command: Sequence[str], *, least_seconds: float = LEAST_SECONDS) -> None:
        self._command = command
        self._least_seconds = least_seconds
        self._is_told = False

    def run(self) -> int:
        """Return the exit code of the program's last run, once it was told to stop or has ended too soon."""
        # Blocked, they are taken one after the other by sigwait. A handler might run a moment before the wait for the
        # program begins, which then would last until the program's end.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        while True:
            began = time.monotonic()
            code = self._run_once()
            lasted = time.monotonic() - began
            if self._is_told or lasted < self._least_seconds:
                return code
            print(f"{self._command[0]} ended with {code} after {lasted:.0f} s: started again", file=sys.stderr)  # noqa: T201

    def _run_once(self) -> int:
        program = os.posix_spawnp(self._command[0], list(self._command), os.environ, setsigmask=())
        while True:
            number = signal.sigwait(_HEARD)
            if number in _TOLD:
                self._is_told = True
                os.kill(program, number)
                continue
            ended, status = os.waitpid(program, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return _KILLED - code if code < 0 else code
