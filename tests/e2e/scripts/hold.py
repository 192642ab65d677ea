"""Open connections to a host one after the other, by TLS and by plain HTTP in turn, and keep each that answers open.

Takes host and number of tries; prints how many were open at the end, each of which answered once more then, and the
milliseconds that each refusal took.
"""

import json
import socket
import ssl
import sys
import time

host, tries = map(json.loads, sys.argv[1:3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def answers(stream: socket.socket) -> bool:
    try:
        stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return stream.recv(65536).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def opened(number: int) -> socket.socket | None:
    try:
        if number % 2:
            return socket.create_connection((host, 80), 15)
        return context.wrap_socket(socket.create_connection((host, 443), 15), server_hostname=host)
    except OSError:
        return None


held, refused = [], []
for each in range(tries):
    began = time.perf_counter()
    made = opened(each)
    if made is not None:
        made.settimeout(15)
        if answers(made):
            held.append(made)
            continue
        made.close()
    refused.append((time.perf_counter() - began) * 1000)
json.dump({"open": sum(answers(stream) for stream in held), "refused": refused}, sys.stdout)
