"""Read an answer without end from each host over plain HTTP; log `[seconds, "way host", "open" | "cut"]` as it changes.

Arguments: hosts, each asked by its name on port 80, and through the proxy. It goes on until it is stopped, and begins
nothing anew.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

PATH = "/stream?seconds=600"
lock = threading.Lock()


def say(what: str, state: str) -> None:
    with lock:
        sys.stdout.write(f"{json.dumps([time.time(), what, state])}\n")
        sys.stdout.flush()


def download(what: str, address: tuple[str, int], target: str, host: str) -> None:
    with socket.create_connection(address, 5) as stream:
        stream.settimeout(5)
        stream.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        try:
            state = "open" if stream.recv(65536).startswith(b"HTTP/1.1 200 ") else "refused"
            say(what, state)
            while stream.recv(65536):
                pass
        except OSError:
            pass
    say(what, "cut")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
proxy = urlsplit(os.environ["HTTP_PROXY"])
for each in sys.argv[1:]:
    ways = {
        f"host {each}": ((each, 80), PATH),
        f"proxy {each}": ((proxy.hostname, proxy.port), f"http://{each}{PATH}"),
    }
    for name, (address, target) in ways.items():
        threading.Thread(target=download, args=(name, address, target, each), daemon=True).start()
signal.pause()
