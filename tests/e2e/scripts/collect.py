"""A collector of OTLP over HTTP that asks for a token; prints each span, and each log record's text, as a line of JSON.

Takes the port and the token, and runs in the sidecar's image, which has the protocol's messages.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]


def spans_in(body: bytes) -> list[dict[str, Any]]:
    return [
        {
            "span": span.name,
            "traceId": span.trace_id.hex(),
            "parent": span.parent_span_id.hex(),
            **{each.key: each.value.string_value for each in group.resource.attributes},
        }
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def lines_in(body: bytes) -> list[dict[str, Any]]:
    return [
        {"line": record["body"]["stringValue"]}
        for group in json.loads(body)["resourceLogs"]
        for scope in group["scopeLogs"]
        for record in scope["logRecords"]
    ]


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._answer(401)
        found = (spans_in if self.path == "/v1/traces" else lines_in)(body)
        # Other threads print, too: in one piece, lines cannot mix.
        sys.stdout.write("".join(f"{json.dumps(each)}\n" for each in found))
        sys.stdout.flush()
        return self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("", PORT), Collector).serve_forever()
