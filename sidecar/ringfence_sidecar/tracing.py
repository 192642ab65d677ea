"""W3C trace context, and spans; OpenTelemetry is imported only where an OTLP endpoint is configured."""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ringfence_sidecar import __version__
from ringfence_sidecar.call import Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_PARENT = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_STATE_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_STATE_MEMBERS = 32
_STATE_CHARACTERS = 512


def start(*, sampled: bool = False) -> Trace:
    """Return the root of a new trace."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8), sampled)


def child(trace: Trace) -> Trace:
    """Return a new span of the same trace, under `trace`."""
    return Trace(trace.trace_id, secrets.token_hex(8), trace.sampled, trace.state, trace.span_id)


def accept(traceparent: str | None, tracestate: str | None = None, *, sampled: bool = False) -> Trace:
    """Return the span of a call: under the caller's, where it sent a valid `traceparent`, else the root of a new trace.

    `sampled` is for new traces; the caller decides about its own. https://www.w3.org/TR/trace-context/
    """
    parent = parse(traceparent, tracestate)
    return start(sampled=sampled) if parent is None else child(parent)


def parse(traceparent: str | None, tracestate: str | None = None) -> Trace | None:
    """Return the caller's span, or None if the header is not one. An invalid `tracestate` is dropped alone."""
    header = (traceparent or "").strip()
    match = _PARENT.match(header)
    if match is None:
        return None
    version, trace_id, span_id = match["version"], match["trace"], match["span"]
    rest = header[match.end() :]
    # Later versions may say more, after a hyphen; ff is none.
    if version == "ff" or (rest and (version == "00" or not rest.startswith("-"))):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(match["flags"], 16) & 1), _state(tracestate))


def _state(tracestate: str | None) -> str:
    if not tracestate or len(tracestate) > _STATE_CHARACTERS:
        return ""
    members = [member.strip() for member in tracestate.split(",") if member.strip()]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _STATE_MEMBERS or len(keys) < len(members):
        return ""
    return ",".join(members) if all(_STATE_MEMBER.fullmatch(member) for member in members) else ""


class Tracer:
    """Exports spans that are sampled. Without a processor it does nothing."""

    def __init__(
        self,
        processor: "SpanProcessor | None" = None,
        attributes: Mapping[str, str] | None = None,
        *,
        authorize: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._processor = processor
        self._authorize = authorize
        self._attributes = {"service.name": "ringfence-sidecar", "service.version": __version__, **(attributes or {})}

    def apply(self, token: str, attributes: Mapping[str, str]) -> None:
        """Show `token` to the collector from now on, and say `attributes` of the process besides."""
        self._authorize(token)
        self._attributes = {**self._attributes, **attributes}

    @property
    def is_exporting(self) -> bool:
        """Whether new traces are to be sampled."""
        return self._processor is not None

    def record(
        self,
        trace: Trace,
        name: str,
        seconds: float,
        *,
        client: bool = False,
        attributes: Mapping[str, str] | None = None,
        error: str = "",
    ) -> None:
        """Export the span that has just ended and took `seconds`. `client` for one that asked a backend.

        Never blocks: spans are queued, and dropped if the collector is away.
        """
        if self._processor is not None and trace.sampled:
            self._export(
                self._processor, trace, name, seconds, client=client, attributes=dict(attributes or {}), error=error
            )

    def close(self) -> None:
        """Send what is queued. Blocks, for as long as the exporter's own bound."""
        if self._processor is not None:
            self._processor.shutdown()

    def _export(
        self,
        processor: "SpanProcessor",
        trace: Trace,
        name: str,
        seconds: float,
        *,
        client: bool,
        attributes: dict[str, str],
        error: str,
    ) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only where spans are exported
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
        from opentelemetry.trace import (  # noqa: PLC0415
            SpanContext,
            SpanKind,
            Status,
            StatusCode,
            TraceFlags,
            TraceState,
        )

        def context(span_id: str, *, remote: bool) -> SpanContext:
            return SpanContext(
                int(trace.trace_id, 16),
                int(span_id, 16),
                is_remote=remote,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
                trace_state=TraceState.from_header([trace.state] if trace.state else []),
            )

        end = time.time_ns()
        span = ReadableSpan(
            name,
            context(trace.span_id, remote=False),
            context(trace.parent_id, remote=not client) if trace.parent_id else None,
            Resource(self._attributes),
            attributes,
            kind=SpanKind.CLIENT if client else SpanKind.SERVER,
            status=Status(StatusCode.ERROR, error) if error else Status(StatusCode.UNSET),
            start_time=end - int(seconds * 1e9),
            end_time=end,
        )
        processor.on_end(span)


def to_collector(endpoint: str, attributes: Mapping[str, str]) -> Tracer:
    """Return a tracer that exports by OTLP over HTTP to `endpoint`, such as `http://collector:4318`.

    Imports OpenTelemetry. Its other settings are OpenTelemetry's own environment variables.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from requests import Session  # noqa: PLC0415

    session = Session()
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", session=session)

    def authorize(token: str) -> None:
        session.headers.update({"Authorization": f"Bearer {token}"} if token else {})

    return Tracer(BatchSpanProcessor(exporter), attributes, authorize=authorize)
