"""How waiting for Redis is counted: by the time that this process has had, and not by the clock alone.

A process that gets no processor for a while would else take Redis to be away, and ask the warehouse for what others
have asked for already.
"""

from typing import Final

SLICE_SECONDS: Final = 0.005
"""Patience is counted in these, each by what it lasted, up to a fifth longer."""
_MOST: Final = 1.2 * SLICE_SECONDS
TURNS: Final = 4
"""Turns of the event loop in which an answer that has come already is taken, although the time is up."""


def counted(lasted: float) -> float:
    """Return what a slice costs of the patience that lasted so many seconds."""
    return min(_MOST, lasted)
