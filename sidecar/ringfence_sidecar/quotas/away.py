"""How long things may take, and what is raised when the store took longer."""

from dataclasses import dataclass

from ringfence_sidecar.quotas.packing import LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds."""

    patience: float = 0.045
    """What a call may spend waiting for Redis; the rest of 50 ms is for what surrounds it."""
    lease: float = LEASE_SECONDS
    """How long a pod that says nothing keeps what it was granted."""
    beat: float = 3.0
    """How often it says something while that matters."""


class StoreAwayError(Exception):
    """The counters cannot be read now; maybe in `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
