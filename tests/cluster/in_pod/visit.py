"""Runs in a pod: reads one request, JSON, and answers with one line, JSON.

{"lookups": [[name, 4 or 6], ...]}         → for each, the addresses that the system's resolver finds
{"visits": [[name, port], ...], "ca": pem} → for each, what the server said over TLS, or "refused: …"
"""

import http.client
import json
import socket
import ssl
import sys
from typing import Any

SECONDS = 5


def look_up(name: str, family: int) -> list[str]:
    try:
        found = socket.getaddrinfo(name, 0, {4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return [str(each[4][0]) for each in found]


def visit(name: str, port: int, tls: ssl.SSLContext) -> Any:
    connection = http.client.HTTPSConnection(name, port, context=tls, timeout=SECONDS)
    try:
        connection.request("GET", "/")
        return json.loads(connection.getresponse().read())
    except OSError as error:
        return f"refused: {error}"
    finally:
        connection.close()


def main() -> None:
    request = json.loads(sys.argv[1])
    answers: list[Any] = [look_up(*each) for each in request.get("lookups", [])]
    if "ca" in request:
        tls = ssl.create_default_context(cadata=request["ca"])
        answers += [visit(name, port, tls) for name, port in request["visits"]]
    sys.stdout.write(json.dumps(answers))


main()
