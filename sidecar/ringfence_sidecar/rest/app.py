"""REST under /v1."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from ringfence_sidecar import schemas
from ringfence_sidecar.asgi import HttpError, Receive, Request, Response, Scope, Send, closing
from ringfence_sidecar.builtin import CACHE, SCHEMAS
from ringfence_sidecar.call import Call
from ringfence_sidecar.correlation import correlate
from ringfence_sidecar.envelope import Envelope, encode
from ringfence_sidecar.errors import CallError, Status
from ringfence_sidecar.problem import answer
from ringfence_sidecar.rest.batch import Batch, run_batch
from ringfence_sidecar.rest.docs import PAGE
from ringfence_sidecar.rest.listing import describe, summarise
from ringfence_sidecar.rest.openapi import document_of
from ringfence_sidecar.rest.router import Route, Visit, find
from ringfence_sidecar.service import Service

_HTML: Final = b"text/html; charset=utf-8"
_ENCODER = msgspec.json.Encoder()
_SERVED = (Status.OK, Status.PARTIAL)


class Rest:
    """The ASGI application of REST."""

    def __init__(self, service: Service, *, max_body_bytes: int = 1 << 20, sampled: bool = False) -> None:
        self._service = service
        self._sampled = sampled
        self._max_body_bytes = max_body_bytes
        self._openapi: tuple[Any, bytes] = (None, b"")
        self.routes = (
            Route("POST", "/v1/connectors/{}/{}", self._call, "Call an operation"),
            Route("POST", "/v1/connectors/{}/{}/stream", self._stream, "Call an operation, answered piece by piece"),
            Route("GET", "/v1/connectors", self._connectors, "List bound connectors and permitted operations"),
            Route("GET", "/v1/connectors/{}", self._connector, "Describe a connector's operations, with schemas"),
            Route("POST", "/v1/batch", self._batch, "Run several calls"),
            Route("GET", "/v1/cache/{}", self._value("get"), "Get a kept value"),
            Route("PUT", "/v1/cache/{}", self._value("set"), "Keep a value"),
            Route("DELETE", "/v1/cache/{}", self._value("delete"), "Forget a kept value"),
            Route("POST", "/v1/cache/invalidate_tag", self._invalidate, "Forget all values with a tag"),
            Route("GET", "/v1/schemas", self._schemas, "List payload schemas"),
            Route("GET", "/v1/schemas/{}", self._schema, "Get a published or a payload schema"),
            Route("PUT", "/v1/schemas/{}", self._register, "Register a payload schema"),
            Route("DELETE", "/v1/schemas/{}", self._unregister, "Remove a payload schema"),
            Route("GET", "/v1/quota", self._quota, "Say where quotas stand for this agent"),
            Route("GET", "/v1/openapi.json", self._document, "This API as OpenAPI 3.1"),
            Route("GET", "/v1/docs", self._docs, "This API as a page"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request. Raises HttpError for what is no call."""
        request = Request(scope, receive, max_body_bytes=self._max_body_bytes)
        correlation = correlate(request.headers, sampled=self._sampled)
        route, names = find(self.routes, request.method, request.parts)
        await route.handler(Visit(request, Response(send, correlation.headers), correlation, names))

    async def _call(self, visit: Visit) -> None:
        call = _call_of(visit, visit.names[0], visit.names[1], await _object(visit))
        await answer(visit.response, await visit.request.while_connected(self._service.run(call)))

    async def _stream(self, visit: Visit) -> None:
        call = _call_of(visit, visit.names[0], visit.names[1], await _object(visit))
        await visit.request.while_connected(_pour(visit.response, self._service.stream(call)))

    async def _batch(self, visit: Visit) -> None:
        if visit.correlation.idempotency_key:
            raise HttpError(400, "InvalidHeader", "Idempotency-Key is one call's: give each its idempotencyKey")
        batch = _decoded(await visit.request.body(), Batch)
        parts = await visit.request.while_connected(run_batch(batch, visit.correlation, self._service))
        await visit.response.whole(200, *parts)

    async def _connectors(self, visit: Visit) -> None:
        await _say(visit, summarise(self._service.connectors()))

    async def _connector(self, visit: Visit) -> None:
        (name,) = visit.names
        bound = self._service.connectors()
        if name not in bound:
            raise HttpError(404, "NotFound", "no such connector is bound: GET /v1/connectors lists those that are")
        await _say(visit, describe(name, bound[name]))

    def _value(self, operation: str) -> Any:
        async def serve(visit: Visit) -> None:
            given = await _object(visit) if operation == "set" else {}
            await self._own(visit, CACHE, operation, {**given, "key": visit.names[0]})

        return serve

    async def _invalidate(self, visit: Visit) -> None:
        await self._own(visit, CACHE, "invalidate_tag", await _object(visit))

    async def _schemas(self, visit: Visit) -> None:
        await self._own(visit, SCHEMAS, "list", {})

    async def _schema(self, visit: Visit) -> None:
        (name,) = visit.names
        if name in schemas.PUBLISHED:
            body = _ENCODER.encode(schemas.published(name))
            await visit.response.whole(200, body, kind=b"application/schema+json")
            return
        await self._own(visit, SCHEMAS, "get", {"name": name})

    async def _register(self, visit: Visit) -> None:
        await self._own(visit, SCHEMAS, "register", {**await _object(visit), "name": visit.names[0]})

    async def _unregister(self, visit: Visit) -> None:
        await self._own(visit, SCHEMAS, "remove", {"name": visit.names[0]})

    async def _own(self, visit: Visit, connector: str, operation: str, arguments: dict[str, Any]) -> None:
        call = _call_of(visit, connector, operation, arguments)
        await answer(visit.response, await visit.request.while_connected(self._service.run_own(call)))

    async def _quota(self, visit: Visit) -> None:
        try:
            found = await self._service.standing()
        except CallError as error:
            raise HttpError(error.http, error.reason, error.message) from None
        await _say(visit, found)

    async def _document(self, visit: Visit) -> None:
        bound = self._service.connectors()
        if self._openapi[0] != bound or not self._openapi[1]:
            self._openapi = (bound, _ENCODER.encode(document_of(bound, self.routes)))
        await visit.response.whole(200, self._openapi[1])

    async def _docs(self, visit: Visit) -> None:
        policy = b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        await visit.response.whole(200, PAGE, kind=_HTML, headers=((b"content-security-policy", policy),))


def _call_of(visit: Visit, connector: str, operation: str, arguments: dict[str, Any]) -> Call:
    said = visit.correlation
    return Call(
        request_id=said.request_id,
        connector=connector,
        operation=operation,
        arguments=arguments,
        trace=said.trace,
        protocol="rest",
        timeout_seconds=said.timeout_seconds,
        no_cache=said.no_cache,
        idempotency_key=said.idempotency_key,
    )


async def _pour(response: Response, pieces: AsyncIterator[Envelope]) -> None:
    """Send each piece as an event; a call that is refused at once is answered as any other."""
    try:
        async for piece in pieces:
            if not response.is_begun and piece.status not in _SERVED:
                await answer(response, piece)
                return
            await response.event(encode(piece), name=b"envelope")
        if not response.is_begun:
            await response.stream()
        await response.event(b"{}", name=b"end")
        await response.end()
    finally:
        await closing(pieces)


async def _object(visit: Visit) -> dict[str, Any]:
    body = await visit.request.body()
    try:
        found = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HttpError(400, "InvalidJson", "the body is no JSON") from None
    if not isinstance(found, dict):
        raise HttpError(400, "InvalidJson", "the body must be a JSON object")
    return found


def _decoded(body: bytes, kind: type[Batch]) -> Batch:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise HttpError(400, "InvalidArguments", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HttpError(400, "InvalidJson", "the body is no JSON") from None


async def _say(visit: Visit, found: object) -> None:
    await visit.response.whole(200, _ENCODER.encode(found))
