"""Read all that a TCP server sends; print how many bytes that were, and how many seconds they took."""

import json
import socket
import sys
import time

host, port = json.loads(sys.argv[1]), json.loads(sys.argv[2])
received = 0
with socket.create_connection((host, port), 10) as stream:
    begun = time.monotonic()
    while chunk := stream.recv(1 << 20):
        received += len(chunk)
json.dump({"bytes": received, "seconds": time.monotonic() - begun}, sys.stdout)
