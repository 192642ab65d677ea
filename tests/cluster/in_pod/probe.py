"""Runs in a pod: reads one request a line, JSON, and answers each with one line.

{"probe": [[protocol, host, port], ...]}  → [true or false, ...]: does it answer?
{"hold": [protocol, host, port]}          → true: a flow is open, and something is sent on it every 20 ms
{"until": [true or false, [[host, port], ...]]} → for each, the CLOCK_MONOTONIC second it first accepted or refused TCP
{"held": null}                            → [answers so far, or -1 where the flow is broken] of every flow
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

PATIENCE = 0.7
Target = tuple[str, str, int]


def connect(target: Target) -> socket.socket:
    protocol, host, port = target
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    flow = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    flow.settimeout(PATIENCE)
    flow.connect((host, port))
    return flow


def answers(target: Target) -> bool:
    """True if a TCP connection is accepted, or a datagram comes back."""
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
