"""An authorization server over TLS that hands out a token for one client's credentials (RFC 6749, section 4.4)."""

import base64
import contextlib
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class TokenServer:
    """Notes what it was asked for."""

    def __init__(self, client: str, secret: str, token: str) -> None:
        self.port = 0
        self.forms: list[dict[str, str]] = []
        """The form of each request that was granted, without the credentials."""
        self.refused = 0
        self._client, self._secret, self._token = client, secret, token

    @contextlib.contextmanager
    def running(self, certificate: Path, key: Path) -> Iterator["TokenServer"]:
        """Listen on a port of the loopback address."""
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                status, said = answer(self.path, self.headers["authorization"] or "", self.rfile.read(length).decode())
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join(10)

    def _answer(self, path: str, authorization: str, text: str) -> tuple[int, dict[str, object]]:
        form = dict(urllib.parse.parse_qsl(text))
        client, secret = form.pop("client_id", ""), form.pop("client_secret", "")
        if authorization.startswith("Basic "):
            client, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        if (path, client, secret) != ("/oauth2/token", self._client, self._secret):
            self.refused += 1
            return 401, {"error": "invalid_client"}
        self.forms.append(form)
        return 200, {"access_token": self._token, "token_type": "Bearer", "expires_in": 600}
