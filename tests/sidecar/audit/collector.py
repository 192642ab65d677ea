"""A collector of OTLP over HTTP, on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.ports import free_port


class Collector(BaseHTTPRequestHandler):
    """Takes what is posted: path, headers, body."""

    taken: list[tuple[str, dict[str, str], bytes]]
    status = 200
    answer = b"{}"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, dict(self.headers), body))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collector(status: int = 200, answer: bytes = b"{}") -> Iterator[tuple[str, type[Collector]]]:
    """Have a collector that answers `status`."""
    handler = type("Mine", (Collector,), {"taken": [], "status": status, "answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", free_port()), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join(5)
