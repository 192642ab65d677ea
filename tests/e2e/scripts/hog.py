"""Have a child take memory until the kernel kills it; print how many MiB it had, its signal, and how long that took.

Takes the most MiB that it may get. The milliseconds are from the last MiB that it got to its end.
"""

import json
import os
import struct
import sys
import time

most = json.loads(sys.argv[1])
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    held: list[bytearray] = []
    while len(held) < most:
        taken = bytearray(1 << 20)
        for page in range(0, len(taken), 4096):
            taken[page] = 1
        held.append(taken)
        os.write(writer, struct.pack("d", time.monotonic()))
    os._exit(0)
os.close(writer)
said = b""
while chunk := os.read(reader, 1 << 16):
    said += chunk
_, status = os.waitpid(child, 0)
ended = time.monotonic()
last = struct.unpack(f"{len(said) // 8}d", said)[-1]
found = {"mebibytes": len(said) // 8, "signal": os.WTERMSIG(status), "ms": (ended - last) * 1000}
json.dump(found, sys.stdout)
