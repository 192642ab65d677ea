"""Read all that a TCP server sends; print how many bytes that were, and how many seconds they took.

Print, too, how much had come when: `[seconds, bytes]` some twenty times a second.
"""

import json
import socket
import sys
import time

STEP = 0.05
host, port = json.loads(sys.argv[1]), json.loads(sys.argv[2])
received, course = 0, [[0.0, 0]]
with socket.create_connection((host, port), 10) as stream:
    begun = time.monotonic()
    while chunk := stream.recv(1 << 20):
        received += len(chunk)
        seconds = time.monotonic() - begun
        if seconds - course[-1][0] >= STEP:
            course.append([seconds, received])
json.dump({"bytes": received, "seconds": time.monotonic() - begun, "course": course}, sys.stdout)
