"""What the pods of the network probe run (`python -m ringfence_operator.probe`); the standard library and nothing else.

    target PORT                 listens, and closes every connection that comes
    prober PORT ADDRESS...      tries that port of the addresses, and the kubelet of its own node

The prober's verdict is its termination message, JSON: for `pod` and `kubelet` each `refused`, `open`, or `late`, which
was open at first and then closed.
"""

import errno
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

HOSTS = "HOST_ADDRESSES"
"""Environment variable: the node's addresses, comma separated."""
KUBELETS = "KUBELET_PORTS"
"""Environment variable: the ports at which the cluster's kubelets listen, comma separated."""
MESSAGE = Path("/dev/termination-log")
ATTEMPT_SECONDS = 0.5
ATTEMPTS = 5
LAST = 3
"""A path is open if one of so many last attempts came through: a plug-in may take a moment to close a new pod."""

Endpoint = tuple[str, int]
Reach = Callable[[Sequence[Endpoint], float], set[Endpoint]]


def main(argv: Sequence[str]) -> None:
    """Do what the arguments say."""
    role, port, *addresses = argv
    if role == "target":
        serve(int(port))
    else:
        hosts = [each for each in os.environ[HOSTS].split(",") if each]
        kubelets = [(host, int(each)) for host in hosts for each in os.environ[KUBELETS].split(",")]
        paths = {"pod": [(each, int(port)) for each in addresses], "kubelet": kubelets}
        MESSAGE.write_text(json.dumps(judge(paths)))


def serve(port: int) -> None:
    """Listen on every address, of both families where the pod has both, until told to stop."""
    # Process 1 gets no signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    both = socket.has_dualstack_ipv6()
    family, address = (socket.AF_INET6, "::") if both else (socket.AF_INET, "0.0.0.0")  # noqa: S104
    with socket.create_server((address, port), family=family, dualstack_ipv6=both) as server:
        while True:
            server.accept()[0].close()


def judge(
    paths: dict[str, list[Endpoint]], reach: Reach | None = None, sleep: Callable[[float], None] = time.sleep
) -> dict[str, str]:
    """Return the verdict on each of `paths`: open if any of its endpoints is."""
    seen = []
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        seen.append((reach or connect)([each for endpoints in paths.values() for each in endpoints], ATTEMPT_SECONDS))
        sleep(max(0.0, ATTEMPT_SECONDS - (time.monotonic() - began)))
    return {name: _verdict([not found.isdisjoint(endpoints) for found in seen]) for name, endpoints in paths.items()}


def _verdict(came_through: Sequence[bool]) -> str:
    if any(came_through[-LAST:]):
        return "open"
    return "late" if any(came_through) else "refused"


def connect(endpoints: Iterable[Endpoint], seconds: float) -> set[Endpoint]:
    """Return those of `endpoints` that accept a TCP connection within `seconds`; all are tried at once."""
    deadline = time.monotonic() + seconds
    reached = set()
    with selectors.DefaultSelector() as selector, ExitStack() as opened:
        for endpoint in endpoints:
            family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
            attempt = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            attempt.settimeout(0)
            if attempt.connect_ex(endpoint) in (0, errno.EINPROGRESS):
                selector.register(attempt, selectors.EVENT_WRITE, (endpoint, attempt))
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                endpoint, attempt = key.data
                selector.unregister(attempt)
                if not attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    reached.add(endpoint)
    return reached


if __name__ == "__main__":
    main(sys.argv[1:])
