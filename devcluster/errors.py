"""Everything that can go wrong here, as one tree."""

from pathlib import Path
from textwrap import shorten


class DevclusterError(Exception):
    """The command cannot go on; the message says what to do about it."""


class CommandError(DevclusterError):
    """A program that we started ended with an error."""

    def __init__(self, argv: list[str], code: int, output: str) -> None:
        super().__init__(f"`{shorten(' '.join(argv), 120, placeholder=' …')}` ended with code {code}:\n{tail(output)}")
        self.code = code
        self.output = output


class ProcessDiedError(DevclusterError):
    """A long-running part of the cluster ended while we waited for it."""

    def __init__(self, name: str, log: Path) -> None:
        text = log.read_text(errors="replace") if log.exists() else ""
        super().__init__(f"{name} ended; the last lines of {log}:\n{tail(text)}")


class ApiError(DevclusterError):
    """The API server refused a request."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path}: {status} {body[:500]}")
        self.status = status


class ApiUnavailableError(DevclusterError):
    """The API server did not answer; it may soon."""


def tail(text: str, lines: int = 15) -> str:
    """Return the last `lines` lines of `text`, indented."""
    return "\n".join(f"    {line[:300]}" for line in text.rstrip().splitlines()[-lines:])
