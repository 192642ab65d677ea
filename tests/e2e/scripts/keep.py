"""Keep a TLS connection to each host open and in use; log `[seconds, host, "open" | "cut"]` at each change.

Arguments: hosts, each reached by its name on port 443. Goes on until it is stopped; a connection that is cut stays so.
"""

import json
import signal
import socket
import ssl
import sys
import threading
import time

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
lock = threading.Lock()


def say(host: str, state: str) -> None:
    with lock:
        sys.stdout.write(f"{json.dumps([time.time(), host, state])}\n")
        sys.stdout.flush()


def keep(host: str) -> None:
    with context.wrap_socket(socket.create_connection((host, 443), 5), server_hostname=host) as stream:
        stream.settimeout(5)
        say(host, "open")
        try:
            while True:
                stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                if not stream.recv(65536):
                    break
                time.sleep(0.05)
        except OSError:
            pass
    say(host, "cut")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for each in sys.argv[1:]:
    threading.Thread(target=keep, args=(each,), daemon=True).start()
signal.pause()
