"""/mcp: MCP over streamable HTTP, both eras on one path."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ringfence_sidecar.asgi import HttpError, Receive, Request, Response, Scope, Send
from ringfence_sidecar.mcp.exchange import Exchange
from ringfence_sidecar.mcp.handshake import Handshake, is_request
from ringfence_sidecar.mcp.protocol import (
    HANDSHAKE,
    INVALID_REQUEST,
    STATELESS,
    Incoming,
    ProtocolError,
    decode,
    encode_error,
)
from ringfence_sidecar.mcp.server import Server
from ringfence_sidecar.mcp.stateless import VERSION, Stateless, unsupported


class Endpoint:
    """The ASGI application of an MCP server."""

    def __init__(self, server: Server, *, max_body_bytes: int = 1 << 20) -> None:
        self._handshake = Handshake(server)
        self._stateless = Stateless(server)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request. Raises HttpError for what is no message."""
        request = Request(scope, receive, max_body_bytes=self._max_body_bytes)
        response = Response(send)
        if request.method == "POST":
            await self._post(Exchange(request, response))
        elif request.method == "GET" and _era_of(request.headers) != "stateless":
            await request.body()
            await self._handshake.listen(Exchange(request, response))
        elif request.method == "DELETE" and _era_of(request.headers) != "stateless":
            self._handshake.terminate(request.headers)
            await response.whole(204)
        else:
            raise HttpError(405, "MethodNotAllowed", "send messages by POST", headers={"allow": "POST, GET, DELETE"})

    async def _post(self, exchange: Exchange) -> None:
        try:
            message = decode(await exchange.request.body())
            if isinstance(message, list):
                await self._handshake.serve(exchange, message)
            elif is_stateless(message, exchange.request.headers):
                await self._serve_stateless(exchange, message)
            else:
                _judge(message)
                await self._handshake.serve(exchange, message)
        except ProtocolError as error:
            await exchange.reply(encode_error(None, error), status=400)

    async def _serve_stateless(self, exchange: Exchange, message: Incoming) -> None:
        if isinstance(message.method, str) and isinstance(message.id, int | str):
            await self._stateless.serve(exchange, message.id, message.method, message.params or {})
            return
        if not isinstance(message.method, str) or message.id is None:
            raise ProtocolError(INVALID_REQUEST, "the body must be one request or notification")
        version = exchange.request.headers.get("mcp-protocol-version", "")
        if version not in STATELESS:
            raise unsupported(version)
        await exchange.response.whole(202)


def is_stateless(message: Incoming, headers: Mapping[str, str]) -> bool:
    """Return True if a message is of a revision in which each says all about itself, or claims to be."""
    era = _era_of(headers)
    if era or message.method == "initialize":
        return era == "stateless"
    meta: Any = (message.params or {}).get("_meta")
    return isinstance(meta, Mapping) and VERSION in meta


def _era_of(headers: Mapping[str, str]) -> str:
    """Return what the header says: `handshake`, `stateless` (or unknown, which is refused there), or nothing."""
    version = headers.get("mcp-protocol-version")
    if version is None:
        return ""
    return "handshake" if version in HANDSHAKE or version < HANDSHAKE[-1] else "stateless"


def _judge(message: Incoming) -> None:
    has_answer = message.result is not msgspec.UNSET or message.error is not msgspec.UNSET
    is_response = message.method is msgspec.UNSET and isinstance(message.id, int | str) and has_answer
    is_notification = isinstance(message.method, str) and message.id is msgspec.UNSET
    if not (is_request(message) or is_response or is_notification):
        raise ProtocolError(INVALID_REQUEST, "the body must be a request, a notification or a response")
