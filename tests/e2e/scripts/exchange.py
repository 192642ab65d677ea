"""Write octets to the plain-HTTP listener and its proxy, as they are; print what came back on the connection.

Takes the host, the port, and for each connection the pieces (Latin-1) that are written one after the other, with a
pause in between. Prints for each the status of every answer, and the hosts and paths that the outside has seen.
"""

import json
import re
import socket
import sys
import time
from typing import Any

SECONDS, PAUSE = 3.0, 0.2


def received(stream: socket.socket) -> bytes:
    """Return what comes until the end, or until it is quiet."""
    found = b""
    try:
        while chunk := stream.recv(65536):
            found += chunk
    except OSError:
        pass
    return found


def exchanged(host: str, port: int, pieces: list[str]) -> dict[str, Any]:
    try:
        with socket.create_connection((host, port), SECONDS) as stream:
            try:
                for number, piece in enumerate(pieces):
                    time.sleep(PAUSE if number else 0)
                    stream.sendall(piece.encode("latin-1"))
            except OSError:  # it is closed by now: what was said before counts
                pass
            text = received(stream).decode("latin-1")
    except OSError as error:
        return {"error": type(error).__name__, "statuses": [], "hosts": [], "paths": []}
    return {
        "statuses": [int(each) for each in re.findall(r"HTTP/1\.[01] (\d{3})", text)],
        "hosts": re.findall(r'"host": ?"([^"]*)"', text),
        "texts": re.findall(r'"text": ?"(.*?)"}', text),
        "paths": re.findall(r'"path": ?"([^"]*)"', text),
    }


host, port, connections = map(json.loads, sys.argv[1:4])
json.dump([exchanged(host, port, pieces) for pieces in connections], sys.stdout)
