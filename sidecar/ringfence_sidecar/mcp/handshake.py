"""The 2025 revisions: a session begins with `initialize`, and its id comes with every request after that."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ringfence_sidecar.asgi import HttpError, WorkCancelledError
from ringfence_sidecar.envelope import Parts
from ringfence_sidecar.mcp.exchange import Exchange
from ringfence_sidecar.mcp.protocol import (
    BATCHING,
    CANCELLED,
    HANDSHAKE,
    INVALID_PARAMS,
    INVALID_REQUEST,
    Id,
    Incoming,
    ProtocolError,
    encode_error,
    encode_notification,
    encode_result,
)
from ringfence_sidecar.mcp.server import Asked, Era, Method, Server

SESSION: Final = "mcp-session-id"
MOST_SESSIONS: Final = 256
MOST_IN_BATCH: Final = 32
AT_ONCE_IN_BATCH: Final = 8
MOST_BYTES_IN_BATCH: Final = 33_554_432
"""Once the answers have so many, no further request of the batch is begun."""
Cancel = Callable[[], None]


@dataclass(slots=True, eq=False)
class Session:
    """A client that has initialised."""

    id: str
    version: str
    capabilities: Mapping[str, Any]
    running: dict[Id, Cancel] = field(default_factory=dict)
    listening: Cancel | None = None

    def end(self) -> None:
        """Cancel what it has under way."""
        for cancel in (*self.running.values(), *([self.listening] if self.listening else ())):
            cancel()


class Handshake:
    """Serves requests of the revisions with sessions. Beyond `MOST_SESSIONS`, the one unused for longest ends."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        server.methods["ping"] = Method(self._ping, frozenset({Era.HANDSHAKE}))

    async def serve(self, exchange: Exchange, messages: Incoming | list[Incoming]) -> None:
        """Answer one request, or those of a batch; take notifications."""
        if isinstance(messages, Incoming):
            if messages.method == "initialize":
                await self._initialize(exchange, messages)
                return
            session = self._session(exchange.request.headers)
            if is_request(messages):
                await exchange.reply(*await self._one(exchange, session, messages))
            else:
                self._take(session, messages)
                await exchange.response.whole(202)
            return
        await self._batch(exchange, messages)

    async def listen(self, exchange: Exchange) -> None:
        """Tell a client of changed lists for as long as it listens; a newer listener of its session takes over."""
        session = self._session(exchange.request.headers)
        if not exchange.can_stream:
            raise HttpError(406, "NotAcceptable", "GET is answered by events: accept text/event-stream")
        if session.listening:
            session.listening()
        subscription = self._server.subscribe(self._server.lists)
        await exchange.response.stream()

        async def tell() -> None:
            while kind := await subscription.next():
                await exchange.response.event(encode_notification(f"notifications/{kind}/list_changed", {}))
            await exchange.response.end()

        def begun(cancel: Cancel) -> None:
            session.listening = cancel

        try:
            await exchange.request.while_connected(tell(), begun)
        except WorkCancelledError:
            await exchange.response.end()
        finally:
            self._server.unsubscribe(subscription)

    def terminate(self, headers: Mapping[str, str]) -> None:
        """End a session and what it has under way. Raises HttpError."""
        session = self._session(headers)
        del self._sessions[session.id]
        session.end()

    def _session(self, headers: Mapping[str, str]) -> Session:
        wanted = headers.get(SESSION)
        if wanted is None:
            raise HttpError(400, "SessionRequired", "send initialize first, and Mcp-Session-Id with what follows")
        session = self._sessions.get(wanted)
        if session is None:
            raise HttpError(404, "SessionUnknown", "this session has ended: send initialize again")
        version = headers.get("mcp-protocol-version")
        if version is not None and version not in HANDSHAKE:
            raise HttpError(400, "InvalidHeader", f"MCP-Protocol-Version must be one of {', '.join(HANDSHAKE)}")
        self._sessions.move_to_end(wanted)
        return session

    async def _initialize(self, exchange: Exchange, message: Incoming) -> None:
        params = message.params or {}
        wanted, capabilities = params.get("protocolVersion"), params.get("capabilities", {})
        if not is_request(message) or not isinstance(wanted, str) or not isinstance(capabilities, Mapping):
            error = ProtocolError(INVALID_PARAMS, "initialize takes protocolVersion, capabilities and clientInfo")
            await exchange.reply(encode_error(_id(message), error))
            return
        version = wanted if wanted in HANDSHAKE else HANDSHAKE[0]
        session = Session(secrets.token_urlsafe(24), version, capabilities)
        self._sessions[session.id] = session
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)[1].end()
        result = {
            "protocolVersion": version,
            "capabilities": self._server.capabilities,
            "serverInfo": self._server.information,
        }
        if self._server.instructions:
            result["instructions"] = self._server.instructions
        headers = ((SESSION.encode(), session.id.encode()),)
        await exchange.response.whole(200, *encode_result(_id(message), result), headers=headers)

    async def _batch(self, exchange: Exchange, messages: list[Incoming]) -> None:
        session = self._session(exchange.request.headers)
        if session.version != BATCHING or not 0 < len(messages) <= MOST_IN_BATCH:
            error = ProtocolError(INVALID_REQUEST, "send one message a request")
            await exchange.reply(encode_error(None, error), status=400)
            return
        requests = [message for message in messages if is_request(message)]
        for message in messages:
            if not is_request(message):
                self._take(session, message)
        if not requests:
            await exchange.response.whole(202)
            return
        exchange.can_stream = False
        answers = await exchange.request.while_connected(self._all(exchange, session, requests))
        first, *others = answers
        await exchange.response.whole(200, b"[", *first, *(part for each in others for part in (b",", *each)), b"]")

    async def _all(self, exchange: Exchange, session: Session, requests: list[Incoming]) -> list[Parts]:
        """Return the answers in order; at most some requests are under way at once."""
        places, size = asyncio.Semaphore(AT_ONCE_IN_BATCH), 0

        async def one(message: Incoming) -> Parts:
            nonlocal size
            async with places:
                if size >= MOST_BYTES_IN_BATCH:
                    said = f"the answers of this batch have {size} bytes already: send this request in another one"
                    return (encode_error(_id(message), ProtocolError(INVALID_REQUEST, said)),)
                parts = await self._answer(exchange, session, message)
                size += sum(map(len, parts))
                return parts

        return list(await asyncio.gather(*map(one, requests)))

    async def _one(self, exchange: Exchange, session: Session, message: Incoming) -> Parts:
        request = _id(message)
        if request in session.running:
            return (encode_error(request, ProtocolError(INVALID_REQUEST, "a request with this id is under way")),)

        def begun(cancel: Cancel) -> None:
            session.running[request] = cancel

        try:
            return await exchange.request.while_connected(self._answer(exchange, session, message), begun)
        except WorkCancelledError:
            return (encode_error(request, ProtocolError(CANCELLED, "cancelled")),)
        finally:
            session.running.pop(request, None)

    async def _answer(self, exchange: Exchange, session: Session, message: Incoming) -> Parts:
        asked = Asked(
            method=str(message.method),
            params=message.params or {},
            era=Era.HANDSHAKE,
            version=session.version,
            headers=exchange.request.headers,
            capabilities=session.capabilities,
            notify=exchange.notify,
        )
        try:
            return encode_result(_id(message), await self._server.run(asked))
        except ProtocolError as error:
            return (encode_error(_id(message), error),)

    def _take(self, session: Session, message: Incoming) -> None:
        if message.method != "notifications/cancelled":
            return
        cancel = session.running.get((message.params or {}).get("requestId", ""))
        if cancel is not None:
            cancel()

    async def _ping(self, _: Asked) -> dict[str, Any]:
        return {}


def is_request(message: Incoming) -> bool:
    """Return True if the message wants an answer."""
    return isinstance(message.method, str) and isinstance(message.id, int | str)


def _id(message: Incoming) -> Id:
    return message.id if isinstance(message.id, int | str) else ""
