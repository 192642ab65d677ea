"""The sidecar's MCP server: a tool for each permitted operation of each bound connector, and the sidecar's own."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import structlog

from ringfence_sidecar import __version__, schemas
from ringfence_sidecar.call import Call
from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.correlation import KEY_FORM, Correlation, correlate, is_key
from ringfence_sidecar.envelope import Envelope, parts_of
from ringfence_sidecar.errors import CallError, InvalidArgumentsError, Status
from ringfence_sidecar.mcp.faults import fault, fault_of
from ringfence_sidecar.mcp.progress import reporting
from ringfence_sidecar.mcp.protocol import INTERNAL_ERROR, INVALID_PARAMS, STRUCTURED, UNSTRUCTURED
from ringfence_sidecar.mcp.resources import Resource, Resources
from ringfence_sidecar.mcp.server import Asked, Server
from ringfence_sidecar.mcp.tools import Run, Tool, Tools, no_tool
from ringfence_sidecar.service import Service

PREFIX: Final = "ringfence.dev/"
MOST_BYTES_TWICE: Final = 1_048_576
_TRACE = ("traceparent", "tracestate")
_INSTRUCTIONS = (
    "Each tool is one operation of a company backend that this agent may use, named connector_operation. Every tool "
    "answers with an envelope: status, data, message, errors, warnings, metadata. An error says whether the same call "
    "may be tried again (retryable, retryAfterSeconds)."
)
_log = structlog.get_logger()
_ENCODER = msgspec.json.Encoder()

Serve = Callable[[Call], Awaitable[Envelope]]


class Surface:
    """Offers what the service has. `refresh` after each change of the configuration."""

    def __init__(self, service: Service, *, sampled: bool = False) -> None:
        self._service = service
        self._sampled = sampled
        self.server = Server("ringfence", __version__, title="Ringfence sidecar", instructions=_INSTRUCTIONS)
        self._tools = Tools(self.server, unknown=self._unknown)
        self._resources = Resources(self.server)
        self.refresh()

    def refresh(self) -> None:
        """Offer what is bound and permitted now; clients are told if that is something else than before."""
        bound, own = self._service.connectors(), self._service.builtin.operations
        tools = {tool.name: tool for tool in self._tools_of(bound, self._service.run)}
        for tool in self._tools_of(own, self._service.run_own):
            if tool.name in tools:
                _log.warning("mcp.hidden", tool=tool.name, reason="the sidecar has a tool of that name itself")
            tools[tool.name] = tool
        self._tools.replace(tools.values())
        self._resources.replace((*map(_published, schemas.PUBLISHED), self._connectors(), self._quota()))

    def _tools_of(self, connectors: Mapping[str, tuple[Operation, ...]], serve: Serve) -> Iterator[Tool]:
        for name, operations in connectors.items():
            for operation in operations:
                yield Tool(definition_of(name, operation), self._runner(name, operation, serve))

    def _runner(self, connector: str, operation: Operation, serve: Serve) -> Run:
        async def run(asked: Asked, arguments: Mapping[str, Any]) -> dict[str, Any]:
            correlation = correlation_of(asked, sampled=self._sampled)
            call = call_of(connector, operation.name, asked, arguments, correlation)
            async with reporting(asked.progress, operation.title):
                envelope = await serve(call)
            return result_of(envelope, asked.version)

        return run

    async def _unknown(self, asked: Asked, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Have a name that is no tool judged as any call is: it leaves its audit line, and is counted."""
        connectors = sorted(self._service.connectors(), key=len, reverse=True)
        connector = next((each for each in connectors if name.startswith(f"{each}_")), "")
        operation = name.removeprefix(f"{connector}_") if connector else name
        call = call_of(connector, operation, asked, arguments, correlation_of(asked, sampled=self._sampled))
        envelope = await self._service.run(call)
        if envelope.status is Status.NOT_FOUND:
            raise fault_of(INVALID_PARAMS, no_tool(name), envelope)
        return result_of(envelope, asked.version)

    def _connectors(self) -> Resource:
        async def read(_: Asked) -> str:
            bound = self._service.connectors()
            listed = {name: [operation.name for operation in operations] for name, operations in bound.items()}
            return _ENCODER.encode(listed).decode()

        return _json_resource(
            "ringfence://connectors", "connectors", "Bound connectors, and what each may be asked", read
        )

    def _quota(self) -> Resource:
        async def read(asked: Asked) -> str:
            try:
                return _ENCODER.encode(await self._service.standing()).decode()
            except CallError as error:
                raise fault(INTERNAL_ERROR, error, correlation_of(asked, sampled=self._sampled)) from None

        title = "Where quotas stand for this agent: limit, used, remaining, and when more is free"
        return _json_resource("ringfence://quota", "quota", title, read)


def definition_of(connector: str, operation: Operation) -> dict[str, Any]:
    """Return the tool of an operation, as the list shows it."""
    return {
        "name": f"{connector}_{operation.name}",
        "title": operation.title,
        "description": operation.description,
        "inputSchema": schemas.schema_of(operation.arguments),
        "outputSchema": schemas.envelope_of(operation.result),
        "annotations": {
            "title": operation.title,
            "readOnlyHint": operation.effect is Effect.READ,
            "destructiveHint": operation.destructive,
            "idempotentHint": operation.effect is not Effect.WRITE,
            "openWorldHint": False,
        },
    }


def correlation_of(asked: Asked, *, sampled: bool) -> Correlation:
    """Return what correlates a request: trace context comes in `_meta` (revision 2026-07-28), or in headers."""
    given = {name: asked.headers[name] for name in (*_TRACE, "x-request-id") if name in asked.headers}
    given.update({name: asked.meta[name] for name in _TRACE if isinstance(asked.meta.get(name), str)})
    return correlate(given, sampled=sampled)


def call_of(
    connector: str, operation: str, asked: Asked, arguments: Mapping[str, Any], correlation: Correlation
) -> Call:
    """Return the call that a request asks for; options are in `_meta`. Raises ProtocolError for what does not fit."""
    meta = asked.meta
    try:
        timeout, key = _number(meta, "timeoutSeconds"), _text(meta, "idempotencyKey")
    except InvalidArgumentsError as error:
        raise fault(INVALID_PARAMS, error, correlation) from None
    return Call(
        request_id=correlation.request_id,
        connector=connector,
        operation=operation,
        arguments=arguments,
        trace=correlation.trace,
        protocol="mcp",
        timeout_seconds=timeout,
        no_cache=meta.get(PREFIX + "noCache") is True,
        idempotency_key=key,
    )


def result_of(envelope: Envelope, version: str) -> dict[str, Any]:
    """Return a tool's result: the envelope as structured content, and the same as text for older clients.

    A large one is there only once: as what the client's revision of MCP has for it.
    """
    parts = parts_of(envelope)
    size = sum(map(len, parts))
    is_served = envelope.status in (Status.OK, Status.PARTIAL)
    if size <= MOST_BYTES_TWICE:
        whole = b"".join(parts)
        return {"content": _content(whole.decode()), STRUCTURED: msgspec.Raw(whole), "isError": not is_served}
    if version in UNSTRUCTURED:
        return {"content": _content(b"".join(parts).decode()), "isError": not is_served}
    said = f"The envelope has {size} bytes, and is in {STRUCTURED} only."
    return {"content": _content(said), STRUCTURED: parts, "isError": not is_served}


def _content(said: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": said}]


def _number(meta: Mapping[str, Any], name: str) -> float | None:
    value = meta.get(PREFIX + name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:  # noqa: PLR2004 - as REST
        raise _misfit(name, "a number of seconds above 0")
    return float(value)


def _text(meta: Mapping[str, Any], name: str) -> str:
    value = meta.get(PREFIX + name, "")
    if value and not (isinstance(value, str) and is_key(value)):
        raise _misfit(name, KEY_FORM)
    return str(value)


def _misfit(name: str, form: str) -> InvalidArgumentsError:
    field = f"params._meta.{PREFIX}{name}"
    return InvalidArgumentsError(f"{field} must be {form}", field=field)


def _published(name: str) -> Resource:
    async def read(_: Asked) -> str:
        return _ENCODER.encode(schemas.published(name)).decode()

    return _json_resource(f"ringfence://schemas/{name}", f"schemas/{name}", f"JSON Schema of the {name}", read)


def _json_resource(uri: str, name: str, title: str, read: Callable[[Asked], Awaitable[str]]) -> Resource:
    return Resource({"uri": uri, "name": name, "title": title, "mimeType": "application/json"}, read)
