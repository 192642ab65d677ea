"""A WebSocket with the API server, as `exec` has it: messages both ways, and a look whether anybody is there."""

import ssl
from typing import Any
from urllib.parse import urlsplit

import websocket
from kubernetes.client import Configuration
from kubernetes.stream.ws_client import websocket_proxycare as add_proxy

from ringfence_kube.errors import UnreachableError
from ringfence_kube.transport import Answer

_PROTOCOL = "v4.channel.k8s.io"
"""Spoken by every API server since 1.12; what version 5 adds, the end of standard input alone, is not needed."""
_SECONDS = 15.0
"""After so long a silence the server is asked for a sign of life, and has as long again to give it."""


class WebSocket:
    """Implements Channel. `close` may come from another thread; what waits for a message there ends then."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket

    def receive(self) -> bytes | None:
        """See Channel."""
        is_asked = False
        while True:
            try:
                kind, content = self._socket.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException as error:
                if is_asked:
                    raise UnreachableError("the API server has gone silent") from error
                is_asked = True
                self._send(b"", websocket.ABNF.OPCODE_PING)
                continue
            except (websocket.WebSocketException, OSError) as error:
                raise UnreachableError(f"the connection with the API server was cut: {error}") from error
            is_asked = False
            if kind == websocket.ABNF.OPCODE_CLOSE:
                return None
            if kind in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT):
                return bytes(content)

    def send(self, message: bytes) -> None:
        """See Channel."""
        self._send(message, websocket.ABNF.OPCODE_BINARY)

    def close(self) -> None:
        """See Channel."""
        self._socket.abort()  # type: ignore[no-untyped-call]
        self._socket.shutdown()  # type: ignore[no-untyped-call]

    def _send(self, content: bytes, kind: int) -> None:
        try:
            self._socket.send(content, kind)
        except (websocket.WebSocketException, OSError) as error:
            raise UnreachableError(f"the connection with the API server was cut: {error}") from error


def open_websocket(settings: Configuration, url: str, authorization: str) -> WebSocket | Answer:
    """Return a WebSocket at `url`, or the answer that the server gives instead. Raises UnreachableError."""
    socket = websocket.WebSocket(sslopt={"context": _tls(settings), "server_hostname": settings.tls_server_name})
    socket.settimeout(_SECONDS)
    options: dict[str, Any] = {"subprotocols": [_PROTOCOL]}
    if authorization:
        options["header"] = {"Authorization": authorization}
    try:
        add_proxy(options, settings, url, settings.proxy_headers)  # type: ignore[no-untyped-call]
        socket.connect(url.replace("http", "ws", 1), **options)  # type: ignore[no-untyped-call]
    except websocket.WebSocketBadStatusException as error:
        return Answer(error.status_code, error.resp_body or b"")
    except (websocket.WebSocketException, OSError) as error:
        raise UnreachableError(f"no answer from the API server at {urlsplit(url).netloc}: {error}") from error
    return WebSocket(socket)


def _tls(settings: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    if settings.assert_hostname is False or not settings.verify_ssl:
        context.check_hostname = False
    if not settings.verify_ssl:
        context.verify_mode = ssl.CERT_NONE
    return context
