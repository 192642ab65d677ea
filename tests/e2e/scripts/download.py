"""Get bytes from a host by TLS, on one connection; print how many came, when it ended, and how.

Whole, cut, or refused.

Takes host and number of bytes.
"""

import json
import socket
import ssl
import sys
import time

host, wanted = map(json.loads, sys.argv[1:3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
received, ended = 0, "refused"
try:
    with context.wrap_socket(socket.create_connection((host, 443), 15), server_hostname=host) as stream:
        stream.settimeout(30)
        stream.sendall(f"GET /bytes?n={wanted} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (chunk := stream.recv(65536)):
            head += chunk
        received = len(head.partition(b"\r\n\r\n")[2])
        ended = "cut" if head else "refused"
        while head and (chunk := stream.recv(65536)):
            received += len(chunk)
except OSError:
    pass
json.dump({"received": received, "ended": "whole" if received == wanted else ended, "at": time.time()}, sys.stdout)
