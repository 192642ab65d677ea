"""What the person who watches sees: steps, tables that are redrawn while something is awaited, and verdicts."""

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

Rows = Sequence[Sequence[str]]
LEAST_WIDTH = 10  # so that rows written one by one stand below each other
_BOLD, _DIM, _GREEN, _RED, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"


def table(rows: Rows) -> list[str]:
    """Return the rows as lines of aligned columns; the first row is the head."""
    widths = [max(LEAST_WIDTH, *(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class Screen:
    """Writes to a terminal or, without one, only lines that are new."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._begun = time.monotonic()
        self._live: list[Sequence[str]] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def title(self, text: str) -> None:
        """Begin a step."""
        self._write(f"\n{self._styled(_BOLD, text)}  {self._styled(_DIM, f'[{self.elapsed:.0f} s]')}")

    def say(self, text: str = "") -> None:
        """Write lines."""
        for line in text.split("\n"):
            self._write(f"  {line}".rstrip())

    def command(self, text: str) -> None:
        """Write a command that shows the same."""
        self._write(self._styled(_DIM, f"  $ {text}"))

    def verdict(self, passed: bool, text: str) -> None:
        """Write PASS or FAIL, and of what."""
        self._write(f"  {self._styled(_GREEN, 'PASS') if passed else self._styled(_RED, 'FAIL')}  {text}")

    def show(self, rows: Rows) -> None:
        """Write a table."""
        for line in table(rows):
            self._write(f"    {line}")

    def redraw(self, rows: Rows) -> None:
        """Write the table in the place of the last one; without a terminal, the rows that are new in it."""
        new = [row for row in rows if row not in self._live]
        if not new and len(rows) == len(self._live):
            return
        if self._is_terminal:
            up = f"\x1b[{len(self._live)}A\x1b[J" if self._live else ""
            width = shutil.get_terminal_size().columns - 1  # a line that wraps would count as two
            self._stream.write(up + "".join(f"{f'    {line}'[:width]}\n" for line in table(rows)))
        else:
            self._stream.write("".join(f"  {self.elapsed:6.1f} s  {line}\n" for line in table(new)))
        self._stream.flush()
        self._live = list(rows)

    def settle(self) -> None:
        """Leave the table that was redrawn last as it is."""
        self._live = []

    def _styled(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._is_terminal else text

    def _write(self, line: str) -> None:
        self.settle()
        self._stream.write(line + "\n")
        self._stream.flush()
