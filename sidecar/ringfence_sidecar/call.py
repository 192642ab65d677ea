"""A call on its way through the pipeline, and what a connector may know of it."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.errors import DeadlineError
from ringfence_sidecar.grants import UNLIMITED, Grants


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in monotonic time, in seconds."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - time.monotonic())

    def check(self) -> None:
        """Raise DeadlineError if it has passed."""
        if self.remaining <= 0:
            raise DeadlineError("the call's deadline passed: give a longer timeoutSeconds, or ask for less")


@dataclass(frozen=True, slots=True)
class Trace:
    """W3C trace context: 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool = False
    state: str = ""
    parent_id: str = ""
    """The span that this one is part of; empty for a root."""

    @property
    def traceparent(self) -> str:
        """The header's form."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an agent asked for, whatever the protocol."""

    request_id: str
    connector: str
    operation: str
    arguments: Mapping[str, Any]
    trace: Trace
    protocol: str
    """`rest` or `mcp`."""
    timeout_seconds: float | None = None
    no_cache: bool = False
    """Ask the backend, and keep its answer."""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a connector knows of the call that it serves."""

    agent: Agent
    request_id: str
    trace: Trace
    deadline: Deadline
    idempotency_key: str = ""
    """The caller's; equal for a repetition of the same call. Only where `Operation.takes_key`."""
    grants: Grants = UNLIMITED
    """What quotas let the call use: a connector uses no more, and says in a warning what it has cut."""

    def within(self, grants: Grants) -> "Context":
        """Return the same call, with what quotas let it use; its time is cut to the `querySeconds` among that."""
        longest = grants.most("querySeconds", math.inf)
        deadline = self.deadline if longest >= self.deadline.remaining else Deadline.after(longest)
        return replace(self, grants=grants, deadline=deadline)
