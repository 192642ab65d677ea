"""Runs in a pod: reads one request a line, JSON, and answers each with one line.

{"probe": [[protocol, host, port], ...]}  → [true or false, ...]: does it answer?
{"hold": [protocol, host, port]}          → true: a flow is open, and something is sent on it every 20 ms
{"until": [true or false, [[host, port], ...]]} → for each, the CLOCK_MONOTONIC second it first accepted or refused TCP
{"held": null}                            → [answers so far, or -1 where the flow is broken] of every flow
"""

import errno
import json
import random
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread

PATIENCE = 0.7
Target = tuple[str, str, int]
one_at_a_time = Lock()


def connect(target: Target) -> socket.socket:
    protocol, host, port = target
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    flow = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    flow.settimeout(PATIENCE)
    flow.connect((host, port))
    return flow


def crc32c(data: bytes) -> int:
    """Return SCTP's checksum (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def sctp_init(port: int) -> bytes:
    """Return the packet that asks for an SCTP association."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, random.randrange(1, 1 << 32), 65536, 1, 1, 1)
    ports = struct.pack("!HHI", random.randrange(20000, 60000), port, 0)
    return ports + struct.pack("<I", crc32c(ports + bytes(4) + chunk)) + chunk


def sctp_arrives(target: Target) -> bool:
    """True if a request for an association reaches the other end.

    A kernel without SCTP says by ICMP that it does not know the protocol, which shows as well as an answer that
    the packet came through. Such messages go to every socket of the protocol, hence one at a time.
    """
    _, host, port = target
    with one_at_a_time, socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_RAW, 132) as flow:
        flow.settimeout(PATIENCE)
        flow.connect((host, 0))
        flow.send(sctp_init(port))
        try:
            return bool(flow.recv(2048))
        except OSError as error:
            return error.errno in (errno.ENOPROTOOPT, errno.EPROTO)


def answers(target: Target) -> bool:
    """True if a TCP connection is accepted, a datagram comes back, or a request of SCTP arrives."""
    if target[0] == "sctp":
        return sctp_arrives(target)
    try:
        with connect(target) as flow:
            if target[0] == "udp":
                flow.send(b"?")
                flow.recv(16)
            return True
    except OSError:
        return False


def until(wanted: bool, targets: list[tuple[str, int]]) -> list[float]:
    """Return when each target first accepted a connection, or refused one; probes them in turn, without pause."""
    seen: dict[int, float] = {}
    while len(seen) < len(targets):
        for index, target in enumerate(targets):
            if index not in seen and accepts(target) is wanted:
                seen[index] = time.monotonic()
    return [seen[index] for index in range(len(targets))]


def accepts(target: tuple[str, int]) -> bool | None:
    """True if the connection is accepted, False if it is refused, None if the answer was cut off on its way."""
    try:
        socket.create_connection(target, timeout=0.1).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True


class Flow(Thread):
    """A flow that asks for an answer again and again until there is none."""

    def __init__(self, target: Target) -> None:
        super().__init__(daemon=True)
        self.socket = connect(target)
        self.answers = 0

    def run(self) -> None:
        try:
            while self.answers >= 0:
                self.socket.send(b"?")
                self.answers = self.answers + 1 if self.socket.recv(16) else -1
                time.sleep(0.02)
        except OSError:
            self.answers = -1


def main() -> None:
    flows: list[Flow] = []
    with ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            request = json.loads(line)
            reply: object = True
            if "probe" in request:
                reply = list(pool.map(answers, request["probe"]))
            elif "until" in request:
                reply = until(*request["until"])
            elif "hold" in request:
                flows.append(Flow(request["hold"]))
                flows[-1].start()
            else:
                reply = [flow.answers for flow in flows]
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


main()
