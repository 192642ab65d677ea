"""Standard output and error, as people see them: colours only where a terminal shows them and nobody said no."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

GOOD, POOR, BAD, FAINT, STRONG = "green", "yellow", "red", "dim", "bold"
_GAP = "   "


def out() -> Console:
    """Return standard output. Rich leaves colours out where it is no terminal, or NO_COLOR is set."""
    return Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)


def err() -> Console:
    """Return standard error, for everything that is not the result."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


def plain(text: str) -> str:
    """Return a text without what would move a terminal's cursor or change its colours: agents have a say in some."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Text:
    """Return a table as kubectl prints them: no lines, and no cell cut off, however narrow the screen.

    `head` may be empty. Rich's own tables take the width of the screen, which a pipe does not have.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    if head:
        cells.insert(0, [Text(name, style=STRONG) for name in head])
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    return Text("\n").join(_line(row, widths) for row in cells)


def _text(cell: str | Text) -> Text:
    # A line feed in what an object says would break the table.
    return Text(plain(" ".join(cell.split()))) if isinstance(cell, str) else cell


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, width in zip(row, widths, strict=True):
        line.append_text(cell).append(" " * (width - cell.cell_len) + _GAP)
    line.rstrip()
    return line
