"""W3C trace context, and a line of JSON for each span."""

import json
import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from ringfence.errors import CallError

Log = Callable[[Mapping[str, Any]], None]
"""Takes what is to be logged."""
_PARENT = re.compile(r"00-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_CURRENT: ContextVar["Span | None"] = ContextVar("ringfence-span", default=None)


def log_json(line: Mapping[str, Any]) -> None:
    """Write a line of JSON to standard error."""
    sys.stderr.write(json.dumps(line, default=str) + "\n")


def current() -> "Span | None":
    """Return the innermost span that is open here."""
    return _CURRENT.get()


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Whose part a span is (https://www.w3.org/TR/trace-context/)."""

    trace_id: str
    span_id: str
    is_sampled: bool = False

    @classmethod
    def parse(cls, traceparent: str) -> "TraceContext | None":
        """Return what a `traceparent` says, or None if it is not one."""
        found = _PARENT.fullmatch(traceparent)
        return cls(found["trace"], found["span"], bool(int(found["flags"], 16) & 1)) if found else None

    @property
    def traceparent(self) -> str:
        """The header."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


class Span:
    """A piece of the agent's work: `with rf.trace("summarise", tickets=16) as span`.

    Calls within it, and messages published by them, carry its trace; when it ends, one line is logged. A trace that
    begins here is sampled: sidecars that export spans export those of its calls.
    """

    def __init__(self, operation: str, fields: Mapping[str, Any], *, parent: str = "", log: Log = log_json) -> None:
        self._operation = operation
        self._fields = dict(fields)
        self._log = log
        around = TraceContext.parse(parent) or (outer.context if (outer := current()) else None)
        self._parent_id = around.span_id if around else ""
        self.context: TraceContext = TraceContext(
            around.trace_id if around else secrets.token_hex(16),
            secrets.token_hex(8),
            around.is_sampled if around else True,
        )
        self._calls = 0
        self._token: Token[Span | None] | None = None
        self._began = 0.0

    @property
    def trace_id(self) -> str:
        """Found in the audit lines of the calls within it, too."""
        return self.context.trace_id

    @property
    def traceparent(self) -> str:
        """The header with which to pass the trace on to somebody else."""
        return self.context.traceparent

    def set(self, **fields: Any) -> None:
        """Add to what the line will say."""
        self._fields.update(fields)

    def count_call(self) -> None:
        """Say that a call was made within it."""
        self._calls += 1

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        took = time.perf_counter() - self._began
        if self._token is not None:
            _CURRENT.reset(self._token)
        self._log(self._line(took, error))

    def _line(self, seconds: float, error: BaseException | None) -> dict[str, Any]:
        line = {
            "time": datetime.now(UTC).isoformat(),
            "level": "info" if error is None else "error",
            "event": self._operation,
            "traceId": self.context.trace_id,
            "spanId": self.context.span_id,
            "parentSpanId": self._parent_id,
            "durationMs": round(seconds * 1000, 3),
            "calls": self._calls,
            "fields": self._fields,
        }
        if error is not None:
            line["error"] = _said_of(error)
        return line


def _said_of(error: BaseException) -> dict[str, Any]:
    """Its type, and its text only if the sidecar wrote it: others may hold what must not be in logs."""
    said: dict[str, Any] = {"type": type(error).__name__}
    if isinstance(error, CallError):
        said |= {"code": error.code, "message": error.message, "requestId": error.request_id}
    return said
