"""The container's postStart hook: holds the agent's container back until the sidecar answers.

`python -m ringfence_sidecar.wait` ends with 0 then, and with 1 if nothing answers at all, upon which the kubelet starts
the container anew. It must not wait for the configuration: the kubelet tells a pod's address only once the hook has
ended, and before the operator has seen the address, it serves the pod nothing.
"""

import http.client
import os
import sys
import time

PORT = 8812
LIMIT_SECONDS = 30.0
"""How long a sidecar may take until it answers."""
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


if __name__ == "__main__":
    sys.exit(0 if wait(int(os.environ.get("RINGFENCE_SIDECAR_HEALTH_PORT") or PORT)) else 1)
