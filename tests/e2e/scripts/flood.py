"""Open connections that say nothing as fast as it can, until so many of them were closed; print how many of each.

Takes host, port, and the number that is to be closed. Holds the last few hundred open; gives up after 60 s.
"""

import json
import select
import socket
import sys
import time

SECONDS = 60.0
HELD, BATCH = 500, 50
host, port, wanted = map(json.loads, sys.argv[1:4])
begun = time.monotonic()
streams: list[socket.socket] = []
opened = closed = 0
while closed < wanted and time.monotonic() - begun < SECONDS:
    streams += [socket.create_connection((host, port), 10) for _ in range(BATCH)]
    opened += BATCH
    ended = select.select(streams, [], [], 0)[0]
    closed += len(ended)
    over = [stream for stream in streams if stream not in ended][:-HELD]
    for stream in (*ended, *over):
        streams.remove(stream)
        stream.close()
json.dump({"opened": opened, "closed": closed}, sys.stdout)
