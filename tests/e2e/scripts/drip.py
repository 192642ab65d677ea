"""Write the head of a request slowly, without end, on many connections; print how many of them were cut.

Takes host, port, and the number of connections. A header line goes out on each every second, for 60 s at most.
"""

import json
import select
import socket
import sys
import time

SECONDS = 60.0
host, port, count = map(json.loads, sys.argv[1:4])
begun = time.monotonic()
streams = [socket.create_connection((host, port), 10) for _ in range(count)]
for stream in streams:
    stream.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n")
cut = 0
while streams and time.monotonic() - begun < SECONDS:
    for stream in select.select(streams, [], [], 1.0)[0]:
        streams.remove(stream)
        stream.close()
        cut += 1
    for stream in list(streams):
        try:
            stream.sendall(b"X-Slow: a\r\n")
        except OSError:
            streams.remove(stream)
            cut += 1
json.dump({"cut": cut}, sys.stdout)
