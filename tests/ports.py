"""Ports for tests, from below those that the kernel gives to outgoing connections.

A port that it gives to who binds to 0 is one of those: until the test listens there, any connection of the machine may
take it. Of several workers of one run, each draws from a share of its own.
"""

import os
import random
import socket
from collections.abc import Iterator

from ringfence_gateway.port_set import PORTS, first_port

_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _drawn(first: int, end: int) -> Iterator[int]:
    mine = range(first + _WORKER, end, _WORKERS)
    return iter(random.sample(mine, len(mine)))


_BLOCKS = _drawn(100, 900)
_PORTS = _drawn(first_port(900), 32_768)


def free_port() -> int:
    """Return a port that nobody has, another one each time."""
    return next(port for port in _PORTS if is_free(port))


def free_block() -> int:
    """Return a block of ports that nobody has, another one each time."""
    return next(block for block in _BLOCKS if all(is_free(first_port(block) + at) for at in range(PORTS)))


def is_free(port: int) -> bool:
    """Return True if nobody has the port, on UDP and TCP, by IPv4 and IPv6."""
    with socket.socket(socket.AF_INET6) as tcp, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        try:
            for each in (tcp, udp):
                each.bind(("::", port))
        except OSError:
            return False
    return True
