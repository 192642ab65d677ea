"""One thing that holds, and who says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """What it is, what holds, and the object that it comes from."""

    name: str
    value: str
    source: str
