"""Operators that start in the time of a fork, so that hundreds can be killed: python -m tests.e2e.pools.forks.

What the product's own `main` needs is imported once. For each line on standard input, the environment as JSON, a
process is forked that runs it; its id is answered.
"""

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.replica import ENDING_WITH_US, ROOT

PARENT_DEATH = 1
"""PR_SET_PDEATHSIG."""


class Forks:
    """The process that forks, and those that it has made."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pids: set[int] = set()

    @contextmanager
    def running(self) -> Iterator["Forks"]:
        """Have it ready until the block ends; then nothing of it is left."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*ENDING_WITH_US, sys.executable, "-m", "tests.e2e.pools.forks"],
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                text=True,
            )
        try:
            yield self
        finally:
            for pid in list(self._pids):
                self.kill(pid)
            self._process.kill()
            self._process.communicate()

    def start(self, environment: dict[str, str]) -> int:
        """Start an operator with these variables, and return its process's id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(environment) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self._pids.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """End it as a power cut would, if it still runs."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._pids.discard(pid)


def serve() -> None:
    """Fork for each line until there are no more."""
    from ringfence_operator.__main__ import main  # noqa: PLC0415 - only here is it wanted

    # Nobody waits for those that end: their ids stay theirs until this process ends, and a late kill hits no other.
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
            os._exit(main())
        print(pid, flush=True)  # noqa: T201


def _become(environment: dict[str, str]) -> None:
    ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.environ.update(environment)
    sys.argv = ["ringfence_operator"]
    # Otherwise each would draw the same names.
    random.seed()


if __name__ == "__main__":
    serve()
