"""The API server's audit log: every write that it served, with who wrote and when."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

OPERATOR = "ringfence-operator"


@dataclass(frozen=True, slots=True)
class Write:
    """One write request; times are Unix seconds."""

    agent: str
    credential: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    received: float
    answered: float

    @property
    def is_by_operator(self) -> bool:
        """True for the operator's writes, by its user agent."""
        return self.agent == OPERATOR

    @property
    def is_lease(self) -> bool:
        """True for the election's own writes, which are not counted."""
        return self.resource == "leases"

    @property
    def succeeded(self) -> bool:
        """True if it changed something."""
        return self.code < 300


class AuditLog:
    """Reads what was written between two marks. The server logs a write before it answers it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """Return the place where the log ends now."""
        return self._path.stat().st_size

    def writes(self, since: int) -> Iterator[Write]:
        """Yield the writes after the mark."""
        with self._path.open("rb") as file:
            file.seek(since)
            for line in file:
                if line.endswith(b"\n"):
                    yield _read(json.loads(line))

    def by_operator(self, since: int) -> list[Write]:
        """Return the operator's writes after the mark, those to its Lease left out."""
        return [write for write in self.writes(since) if write.is_by_operator and not write.is_lease]


def _read(entry: dict[str, Any]) -> Write:
    target = entry.get("objectRef", {})
    subresource = target.get("subresource")
    user = entry["user"]
    credential = (user.get("extra") or {}).get("authentication.kubernetes.io/credential-id", [""])
    return Write(
        agent=entry.get("userAgent", "").split("/")[0],
        credential=credential[0],
        verb=entry["verb"],
        resource=target.get("resource", "") + (f"/{subresource}" if subresource else ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=entry.get("responseStatus", {}).get("code", 0),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def kinds(writes: Iterable[Write]) -> str:
    """Say in a line how many writes of which kind there were."""
    counts = Counter(f"{write.verb} {write.resource}" for write in writes)
    return ", ".join(f"{number} {kind}" for kind, number in counts.most_common()) or "none"


def made_twice(writes: Iterable[Write]) -> list[str]:
    """Return the pods that the operator created more than once."""
    counts = Counter(
        f"{write.namespace}/{write.name}"
        for write in writes
        if write.is_by_operator and write.succeeded and (write.verb, write.resource) == ("create", "pods")
    )
    return [name for name, number in counts.items() if number > 1]
