"""Keeps a program running: one that is killed is back at once, and not after the kubelet's pause."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

LEAST_SECONDS = 10.0
"""A program that ran for less is not started again: what it fails of is for the kubelet to show, and to slow down."""
_KILLED = 128
"""Added to a signal's number it is an exit code, as shells have it."""


class Keeper:
    """The first process of a container whose program is `command`. SIGTERM and SIGINT are handed on, and end it."""

    def __init__(self, command: Sequence[str], *, least_seconds: float = LEAST_SECONDS) -> None:
        self._command = command
        self._least_seconds = least_seconds
        self._program: subprocess.Popen[bytes] | None = None
        self._told: int | None = None

    def run(self) -> int:
        """Return the exit code of the program's last run, once it was told to stop or has ended too soon."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        while True:
            began = time.monotonic()
            code = self._run_once()
            lasted = time.monotonic() - began
            if self._told is not None or lasted < self._least_seconds:
                return code
            print(f"{self._command[0]} ended with {code} after {lasted:.0f} s: started again", file=sys.stderr)  # noqa: T201

    def _run_once(self) -> int:
        self._program = subprocess.Popen(self._command)
        if self._told is not None:  # said while it was being started
            self._program.send_signal(self._told)
        code = self._program.wait()
        return _KILLED - code if code < 0 else code

    def _tell(self, number: int, _: FrameType | None) -> None:
        self._told = number
        if self._program is not None:
            self._program.send_signal(number)
