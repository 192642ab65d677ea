"""The container's postStart hook: holds the agent's container back until the sidecar takes calls.

`python -m ringfence_sidecar.wait` ends with 0 once it is ready. So that agents start while the operator is away, it
does so too once the sidecar has lived without a configuration for a while: its calls are refused then, as its readiness
says. It ends with 1 if nothing answers at all, upon which the kubelet starts the container anew.
"""

import http.client
import os
import sys
import time

PORT = 8812
PATIENCE_SECONDS = 10.0
"""How long a sidecar that lives may take to get its configuration."""
LIMIT_SECONDS = 30.0
"""How long one may take until it answers."""
_STEP_SECONDS = 0.02


def answer(port: int, path: str) -> int:
    """Return the HTTP code of the probe; 0 if nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait(port: int, *, patience: float = PATIENCE_SECONDS, limit: float = LIMIT_SECONDS) -> bool:
    """Return True once the agent's container may start; False if the sidecar has not answered for `limit` seconds."""
    began = time.monotonic()
    lives = False
    while (passed := time.monotonic() - began) < limit:
        found = answer(port, "/readyz")
        if found == http.client.OK:
            return True
        lives = lives or found != 0
        if lives and passed >= patience:
            return True
        time.sleep(_STEP_SECONDS)
    return False


if __name__ == "__main__":
    sys.exit(0 if wait(int(os.environ.get("RINGFENCE_SIDECAR_HEALTH_PORT") or PORT)) else 1)
