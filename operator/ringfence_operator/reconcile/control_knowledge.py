"""What is known of the control server."""

from dataclasses import dataclass


@dataclass(slots=True)
class ControlKnowledge:
    """What agents' sidecars need of it; filled in by whoever feeds it."""

    authority: str = ""
    """PEM; empty while it is not known."""
