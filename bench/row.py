"""One figure that was asked for, and what was measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

WIDTHS = (58, 16, 14, 6)


@dataclass(frozen=True, slots=True)
class Row:
    """`holds` is None for figures that put others into proportion; `note` says under which conditions it was taken."""

    measure: str
    asked: str
    measured: float | str
    unit: str
    holds: bool | None = None
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """Return it for the results file."""
        return asdict(self)


def at_most(measure: str, measured: float, limit: float, unit: str, note: str = "") -> Row:
    """Return the row of a figure that has an upper bound."""
    return Row(measure, f"<= {limit:g}", measured, unit, measured <= limit, note)


def for_comparison(measure: str, measured: float | str, unit: str, note: str = "") -> Row:
    """Return the row of a figure that nothing is asked of."""
    return Row(measure, "", measured, unit, None, note)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a text table."""
    verdicts = {True: "holds", False: "MISSED", None: ""}
    lines = [_line("measure", "asked", "measured", "unit", "")]
    lines.append("-" * (sum(WIDTHS) + 12))
    for row in rows:
        measured = row.measured if isinstance(row.measured, str) else f"{row.measured:g}"
        lines.append(_line(row.measure, row.asked, measured, row.unit, verdicts[row.holds]))
        if row.note:
            lines.append(f"    {row.note}")
    return "\n".join(lines)


def _line(measure: str, asked: str, measured: str, unit: str, verdict: str) -> str:
    columns = (measure, asked, measured, unit)
    padded = [text.ljust(width) for text, width in zip(columns, WIDTHS, strict=True)]
    return " ".join([*padded, verdict]).rstrip()
