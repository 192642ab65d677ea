"""Revision 2026-07-28: each request is complete in itself, and says its revision in a header and in `_meta`."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from ringfence_sidecar.mcp.exchange import Exchange
from ringfence_sidecar.mcp.protocol import (
    HEADER_MISMATCH,
    HTTP,
    INVALID_PARAMS,
    PREFIX,
    STATELESS,
    UNSUPPORTED_VERSION,
    Id,
    ProtocolError,
    encode_error,
    encode_notification,
    encode_result,
)
from ringfence_sidecar.mcp.server import Asked, Era, Method, Server

VERSION: Final = PREFIX + "protocolVersion"
_CAPABILITIES: Final = PREFIX + "clientCapabilities"
_SERVER: Final = PREFIX + "serverInfo"
_SUBSCRIPTION: Final = PREFIX + "subscriptionId"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Methods → which parameter the header Mcp-Name repeats."""
_WRAPPED = ("=?base64?", "?=")
_LISTS = {"toolsListChanged": "tools", "resourcesListChanged": "resources", "promptsListChanged": "prompts"}


class Stateless:
    """Serves requests of the stateless revisions."""

    def __init__(self, server: Server) -> None:
        self._server = server
        stateless = frozenset({Era.STATELESS})
        server.methods["server/discover"] = Method(self._discover, stateless, is_cacheable=True)

    async def serve(self, exchange: Exchange, request: Id, method: str, params: Mapping[str, Any]) -> None:
        """Answer one request."""
        try:
            judge(method, params, exchange.request.headers)
            if method == "subscriptions/listen":
                await self._listen(exchange, request, params)
                return
            asked = Asked(
                method=method,
                params=params,
                era=Era.STATELESS,
                version=params["_meta"][VERSION],
                headers=exchange.request.headers,
                capabilities=params["_meta"][_CAPABILITIES],
                notify=exchange.notify,
            )
            result = await exchange.request.while_connected(self._server.run(asked))
        except ProtocolError as error:
            await exchange.reply(encode_error(request, error), status=HTTP.get(error.code, 200))
            return
        await exchange.reply(*encode_result(request, self._shaped(method, result)))

    def _shaped(self, method: str, result: dict[str, Any]) -> dict[str, Any]:
        shaped = {"resultType": "complete", **result}
        shaped["_meta"] = {_SERVER: self._server.information, **shaped.get("_meta", {})}
        if self._server.method(method, Era.STATELESS).is_cacheable:
            # Whoever wants to hear of changes listens; nobody else may rely on what was.
            shaped = {"ttlMs": 0, "cacheScope": "private", **shaped}
        return shaped

    async def _discover(self, _: Asked) -> dict[str, Any]:
        found = {"supportedVersions": list(STATELESS), "capabilities": self._server.capabilities}
        return found | ({"instructions": self._server.instructions} if self._server.instructions else {})

    async def _listen(self, exchange: Exchange, request: Id, params: Mapping[str, Any]) -> None:
        wanted = params.get("notifications")
        if not isinstance(wanted, Mapping):
            raise ProtocolError(INVALID_PARAMS, "params.notifications must be an object")
        if not exchange.can_stream:
            raise ProtocolError(INVALID_PARAMS, "subscriptions/listen is answered by events: accept text/event-stream")
        names = {name: kind for name, kind in _LISTS.items() if wanted.get(name) is True and kind in self._server.lists}
        subscription = self._server.subscribe(frozenset(names.values()))
        meta = {_SUBSCRIPTION: request}
        event = exchange.response.event

        async def tell() -> None:
            accepted = {"_meta": meta, "notifications": dict.fromkeys(names, True)}
            await event(encode_notification("notifications/subscriptions/acknowledged", accepted))
            while kind := await subscription.next():
                await event(encode_notification(f"notifications/{kind}/list_changed", {"_meta": meta}))
            await exchange.reply(*encode_result(request, {"resultType": "complete", "_meta": meta}))

        try:
            await exchange.request.while_connected(tell())
        finally:
            self._server.unsubscribe(subscription)


def judge(method: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raise ProtocolError for a request whose `_meta` or headers are not as they must be."""
    meta = params.get("_meta")
    if not isinstance(meta, Mapping):
        raise ProtocolError(INVALID_PARAMS, f"params._meta must be an object with {VERSION} and {_CAPABILITIES}")
    if missing := [name for name in (VERSION, _CAPABILITIES) if name not in meta]:
        raise ProtocolError(INVALID_PARAMS, f"params._meta lacks {' and '.join(missing)}")
    if not isinstance(meta[_CAPABILITIES], Mapping):
        raise ProtocolError(INVALID_PARAMS, f"params._meta.{_CAPABILITIES} must be an object")
    version = meta[VERSION]
    if headers.get("mcp-protocol-version") != version:
        raise ProtocolError(HEADER_MISMATCH, "MCP-Protocol-Version must be what params._meta says")
    if headers.get("mcp-method") != method:
        raise ProtocolError(HEADER_MISMATCH, "Mcp-Method must be the body's method")
    named = params.get(_NAMED[method]) if method in _NAMED else None
    if named is not None and _decoded(headers.get("mcp-name")) != named:
        raise ProtocolError(HEADER_MISMATCH, f"Mcp-Name must be the body's params.{_NAMED[method]}")
    if version not in STATELESS:
        raise unsupported(version)


def unsupported(version: str) -> ProtocolError:
    """Return the refusal of a revision that is not served."""
    data = {"supported": list(STATELESS), "requested": version}
    return ProtocolError(UNSUPPORTED_VERSION, "this protocol version is not served", data)


def _decoded(value: str | None) -> str | None:
    """Return a header's value; what does not fit into one comes as base64 of UTF-8."""
    head, tail = _WRAPPED
    if value is None or not (value.startswith(head) and value.endswith(tail)):
        return value
    try:
        return base64.b64decode(value[len(head) : -len(tail)], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
