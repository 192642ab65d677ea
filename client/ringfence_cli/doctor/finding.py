"""What a check says: how bad it is, a sentence, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is, the best first."""

    OK = "ok"
    UNKNOWN = "unknown"
    """We could not look, most often for want of a right."""
    WARNING = "warning"
    """It works, or does not yet; somebody should know."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    sentence: str
    fix: str = ""
    """What to do, where something is to be done."""
    check: str = ""
    """Name of the check that says so."""


def ok(sentence: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, sentence)


def unknown(what: str, hindrance: str) -> Finding:
    """Return that we could not look."""
    return Finding(Level.UNKNOWN, f"cannot tell {what}: {hindrance}", "ask somebody who may look, or for the right")


def warning(sentence: str, fix: str) -> Finding:
    """Return that somebody should know."""
    return Finding(Level.WARNING, sentence, fix)


def broken(sentence: str, fix: str) -> Finding:
    """Return that something does not work."""
    return Finding(Level.BROKEN, sentence, fix)
