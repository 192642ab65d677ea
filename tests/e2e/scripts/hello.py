"""Begin TLS with names that no library would write; print for each "answered", or what refused it.

Takes the address, the port, and for each hello: `name`, the octets (Latin-1) in the place of the SNI; `pieces`, into
how many segments it is cut; `records`, into how many TLS records.
"""

import contextlib
import json
import socket
import ssl
import sys
import time
from typing import Any

SECONDS = 5.0
HANDSHAKE = 0x16


def hello(name: bytes) -> bytes:
    """Return a ClientHello with `name`; nothing in it depends on what the name is, but for its length."""
    placeholder = b"a" * (len(name) - 2) + b".b"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=placeholder.decode())
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read().replace(placeholder, name)


def in_records(message: bytes, count: int) -> bytes:
    """Return the handshake message of one record in `count` of them."""
    head, body = message[:3], message[5:]
    size = -(-len(body) // count)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(head + len(part).to_bytes(2) + part for part in parts)


def begin(address: str, port: int, how: dict[str, Any]) -> str:
    message = in_records(hello(how["name"].encode("latin-1")), how.get("records", 1))
    size = -(-len(message) // how.get("pieces", 1))
    try:
        with socket.create_connection((address, port), SECONDS) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(message), size):
                stream.sendall(message[at : at + size])
                time.sleep(0.01)
            first = stream.recv(1)
    except OSError as error:
        return type(error).__name__
    return "answered" if first and first[0] == HANDSHAKE else "closed"


address, port, hellos = map(json.loads, sys.argv[1:4])
json.dump([begin(address, port, each) for each in hellos], sys.stdout)
