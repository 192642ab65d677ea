"""What the audit says of one call."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

SUMMARY_CHARACTERS = 1024


class Who(msgspec.Struct, frozen=True, rename="camel"):
    """Whose call it was; the names are empty where the sidecar has never had its configuration."""

    namespace: str = ""
    agent: str = ""
    uid: str = ""
    pod: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One call. No literal, no payload, no secret: only what they weighed, and a hash of the arguments."""

    who: Who
    request_id: str
    trace_id: str
    protocol: str
    connector: str
    operation: str
    summary: str = ""
    arguments_hash: str = ""
    """SHA-256 of the arguments as JSON with sorted keys: equal questions have equal hashes."""
    decision: str
    """`allowed`, `refused` (policy, quota or arguments stopped it) or `none` (it never came to a decision)."""
    rule: str = ""
    cache: str = "none"
    """`none`, `local` or `redis`, with `:stale` after it; `revalidate` for a question of the cache's own."""
    endpoint: str = ""
    attempts: int = 0
    backend_id: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    duration_ms: float = 0.0
    outcome: str
    """A status of the envelope."""
    code: str = ""
    """The error's, where there is one."""
    outcome_unknown: bool = False
    used: dict[str, float] = {}
    """What the call used of limited resources, as the quotas' counters were told."""
    quota: str = ""
    """The quota that refused, where one did; `rule` is its limit then: resource, window and scope."""


def digest(arguments: Mapping[str, Any]) -> tuple[str, int]:
    """Return the hash of a call's arguments and their size in bytes; ("", 0) if they are no JSON."""
    try:
        body = msgspec.json.encode(arguments, order="deterministic")
    except (TypeError, ValueError, RecursionError):
        return "", 0
    return hashlib.sha256(body).hexdigest(), len(body)
