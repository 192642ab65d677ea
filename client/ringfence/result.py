"""What comes of a command in an agent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from ringfence.errors import CommandError


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote: `stream` is `stdout` or `stderr`; the text ends wherever it was cut on its way."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended, and all that it wrote. If a signal ended it, `exit_code` is 128 and the signal's number."""

    command: Sequence[str]
    exit_code: int
    stdout: str
    stderr: str

    def check(self) -> Self:
        """Return this. Raises CommandError unless the exit code is 0."""
        if self.exit_code:
            raise CommandError(self.command[0], exit_code=self.exit_code, stdout=self.stdout, stderr=self.stderr)
        return self

    def json(self) -> Any:
        """Return what the command printed as its result: the last line of standard output, as JSON.

        Raises CommandError where it failed, and ValueError where that line is no JSON.
        """
        lines = self.check().stdout.strip().splitlines() or [""]
        try:
            return json.loads(lines[-1])
        except ValueError as error:
            said = repr(lines[-1][:200])
            raise ValueError(f"print the result as the last line of standard output, in JSON: it is {said}") from error
