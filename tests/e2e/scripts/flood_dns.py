"""Ask a DNS server for a name over UDP as fast as it can, for a few seconds; print how often.

Takes address and name.
"""

import json
import socket
import struct
import sys
import time

SECONDS = 4.0
BATCH = 200
address, name = map(json.loads, sys.argv[1:3])
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
query = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
begun, asked = time.monotonic(), 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
    stream.connect((address, 53))
    while time.monotonic() - begun < SECONDS:
        for _ in range(BATCH):
            stream.send(query)
        asked += BATCH
json.dump({"asked": asked}, sys.stdout)
