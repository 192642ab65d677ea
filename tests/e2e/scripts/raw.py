"""Send what is neither TCP nor DNS to an address; print for each way "answered", or what refused it.

`echo` pings as programs without privileges do, `raw` by a raw socket, `packet` asks for whole frames, `udp` sends a
datagram to port 443.
"""

import json
import socket
import struct
import sys

SECONDS = 2.0
host = json.loads(sys.argv[1])
is_v6 = ":" in host
FAMILY = socket.AF_INET6 if is_v6 else socket.AF_INET
ICMP = socket.IPPROTO_ICMPV6 if is_v6 else socket.IPPROTO_ICMP


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping() -> bytes:
    """Return an echo request; the kernel fills in the checksum of ICMPv6."""
    kind = 128 if is_v6 else 8
    bare = struct.pack("!BBHHH", kind, 0, 0, 1, 1) + b"ringfenc"
    return struct.pack("!BBHHH", kind, 0, 0 if is_v6 else checksum(bare), 1, 1) + b"ringfenc"


def sent(kind: int, protocol: int, port: int, message: bytes) -> str:
    try:
        with socket.socket(FAMILY, kind, protocol) as door:
            door.settimeout(SECONDS)
            door.connect((host, port))
            door.send(message)
            door.recv(2048)
    except OSError as error:
        return type(error).__name__
    return "answered"


def frames() -> str:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)).close()
    except OSError as error:
        return type(error).__name__
    return "answered"


json.dump(
    {
        "echo": sent(socket.SOCK_DGRAM, ICMP, 0, ping()),
        "raw": sent(socket.SOCK_RAW, ICMP, 0, ping()),
        "packet": frames(),
        "udp": sent(socket.SOCK_DGRAM, 0, 443, b"QUIC?"),
    },
    sys.stdout,
)
