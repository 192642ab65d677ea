"""The container's postStart hook: holds the agent's container back until the sidecar answers.

`python -m ringfence_sidecar.wait` ends with 0 then, and with 1 and a sentence if nothing answers at all, upon which the
kubelet starts the container anew and quotes the sentence, by which the operator knows it. It must not wait for the
configuration: the kubelet tells a pod's address only once the hook has ended, and before the operator has seen the
address, it serves the pod nothing.
"""

import http.client
import os
import sys
import time

PORT = 8812
LIMIT_SECONDS = 60.0
"""How long a sidecar may take until it answers: a node with too much to do is not helped by beginning anew."""
_STEP_SECONDS = 0.02


def answers(port: int) -> bool:
    """Return True if the sidecar lives."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait(port: int, *, limit: float = LIMIT_SECONDS) -> bool:
    """Return True once the agent's container may start; False if the sidecar has not answered for `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if answers(port):
            return True
        time.sleep(_STEP_SECONDS)
    return False


def main(*, limit: float = LIMIT_SECONDS) -> int:
    """Wait, and return the exit code."""
    if wait(int(os.environ.get("RINGFENCE_SIDECAR_HEALTH_PORT") or PORT), limit=limit):
        return 0
    sys.stderr.write(f"the sidecar did not answer within {limit:.0f} s of its start\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
