"""A shell that keeps its variables and functions from one command to the next, as a reader's does."""

import os
import re
import secrets
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, on both channels, and its exit code."""

    said: str
    code: int


class Shell:
    """bash, fed by a pipe; commands read nothing."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._mark = f"<{secrets.token_hex(8)}>"
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(self, text: str, *, seconds: float) -> Answer:
        """Type a command and return what came of it. Raises TimeoutError."""
        assert self._process.stdin is not None
        line = f"{{\n{text}\n}} </dev/null; printf '\\n%s %s\\n' '{self._mark}' $?\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        return self._answer(text, time.monotonic() + seconds)

    def _answer(self, text: str, deadline: float) -> Answer:
        assert self._process.stdout is not None
        said, end = b"", re.compile(rf"\n{re.escape(self._mark)} (\d+)\n".encode())
        while True:
            if found := end.search(said):
                return Answer(said[: found.start()].decode(errors="replace"), int(found[1]))
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._end()
                raise TimeoutError(f"no end of `{text}`; so far: {said.decode(errors='replace')}")
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                raise TimeoutError(f"the shell ended in `{text}`: {said.decode(errors='replace')}")
            said += piece

    def _end(self) -> None:
        """End it, and what it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
