"""What the stand-in does wrong, because a test said so."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Faults:
    """Set by `PUT /control/faults`; what is not named there has its default again."""

    latency: float = 0.0
    """Seconds before each answer."""
    outage: str = ""
    """`unavailable` answers 503, `hang` answers nothing, `cut` breaks connections in the middle."""
    slow: dict[str, float] = field(default_factory=dict)
    """Text in a statement → seconds that it takes."""
    patience: float = 45.0
    """Seconds after which a statement's answer is that it is still on its way."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """Text in a statement → code, SQLSTATE and message that it fails with."""
    away: list[str] = field(default_factory=list)
    """Warehouses that run nothing."""
    first_chunk: int = 100_000
    """Bytes of a large result that are in the answer itself; each chunk is twice the one before."""
    largest_chunk: int = 16_000_000
    chunk_latency: float = 0.0
    """Seconds before each chunk."""
    repeats: bool = False
    """A SELECT that was asked before is answered as then, without fakesnow, which takes 20 ms of a processor for one.

    It is for measurements of what stands before a warehouse; nothing but SELECTs may be asked meanwhile.
    """

    def seconds(self, sql: str) -> float:
        """Return how long a statement takes besides what it takes."""
        return max((seconds for text, seconds in self.slow.items() if text in sql), default=0.0)

    def error(self, sql: str) -> list[str] | None:
        """Return what a statement fails with, or None."""
        return next((error for text, error in self.errors.items() if text in sql), None)


@dataclass
class Statement:
    """A statement that was asked for."""

    sql: str
    parameters: dict[str, Any]
    bindings: dict[str, Any] | None
    request_id: str
    session: int
    ended: str = ""
    """`ok`, `failed`, `cancelled`, `timeout`; empty while it runs."""
    query_id: str = ""
    """Once it has been answered."""

    @property
    def scanned(self) -> int:
        """What it has read, in bytes: a made-up figure for what reads a table, as the account's history has it."""
        reads = self.sql.lstrip().upper().startswith("SELECT") and " FROM " in self.sql.upper()
        return 1_000_000 if reads and "INFORMATION_SCHEMA" not in self.sql.upper() else 0


@dataclass
class Record:
    """What has been asked so far."""

    statements: list[Statement] = field(default_factory=list)
    logins: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    aborts: list[str] = field(default_factory=list)
