"""Ask a name server whatever one can ask; print for each question the answer's code, records and size, or what failed.

Takes the server's address (the pod's own, if empty), and for each question: `name`, its labels; `type`, a number;
`transport`, `udp` or `tcp`; `copies`, how often the question stands in the packet; `more`, octets (Latin-1) behind it.
"""

import json
import socket
import struct
import sys
from pathlib import Path
from typing import Any

SECONDS = 3.0


def own_server() -> str:
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("nameserver"))


def query(how: dict[str, Any]) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode("latin-1") for label in how["name"])
    question: bytes = labels + b"\0" + struct.pack("!HH", how.get("type", 1), 1)
    count: int = how.get("copies", 1)
    head = struct.pack("!HHHHHH", 0x1234, 0x0100, count, 0, 0, 0)
    return head + question * count + str(how.get("more", "")).encode("latin-1")


def exchanged(server: str, how: dict[str, Any]) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    is_tcp = how.get("transport") == "tcp"
    with socket.socket(family, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM) as door:
        door.settimeout(SECONDS)
        door.connect((server, 53))
        message = query(how)
        door.sendall(len(message).to_bytes(2) + message if is_tcp else message)
        if not is_tcp:
            return door.recv(65536)
        with door.makefile("rb") as stream:
            return stream.read(int.from_bytes(stream.read(2)))


def asked(server: str, how: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = exchanged(server, how)
    except OSError as error:
        return {"refused": type(error).__name__}
    if not answer:
        return {"refused": "closed"}
    _, flags, _, records, _, _ = struct.unpack_from("!HHHHHH", answer)
    return {"code": flags & 15, "records": records, "size": len(answer), "text": answer.decode("latin-1")}


server, questions = json.loads(sys.argv[1]) or own_server(), json.loads(sys.argv[2])
json.dump([asked(server, each) for each in questions], sys.stdout)
