"""Audit records for tests."""

from typing import Any

from ringfence_sidecar.audit.chain import Chain
from ringfence_sidecar.audit.record import Record, Who


def record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "who": Who("team-a", "alice", "a-1", "alice-0"),
        "request_id": "r-1",
        "trace_id": "0" * 32,
        "protocol": "rest",
        "connector": "store",
        "operation": "get",
        "decision": "allowed",
        "outcome": "ok",
        **changes,
    }
    return Record(**values)


def lines(count: int, name: str = "c-1", *, end: bool = True) -> list[bytes]:
    """A chain of so many calls, with its first line and, if it ended in order, its last."""
    chain = Chain(name, now=lambda: 1_800_000_000.0)
    made = [chain.link("start", {"who": record().who})]
    made += [chain.link("call", record(request_id=f"r-{number}")) for number in range(count)]
    return [*made, chain.link("end", {})] if end else made
