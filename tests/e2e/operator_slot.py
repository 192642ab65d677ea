"""The operator that most tests run against, one at a time."""

import secrets
from pathlib import Path

from tests.e2e.replica import Replica

SANDBOX = "rf-e2e-sandbox"
SETTINGS = {
    "sandboxed_runtime_classes": SANDBOX,
    "maximum_memory": "1Gi",
    "reserved_cidrs": "198.51.100.0/24",
}


class OperatorSlot:
    """At most one operator at a time: asking for other settings replaces it."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._replica: Replica | None = None
        self._settings: dict[str, str] = {}

    def running(self, **settings: str) -> Replica:
        """Return the replica that leads with these settings."""
        if self._replica is None or not self._replica.is_running or self._settings != settings:
            self.stop()
            self._settings = settings
            self._replica = Replica(self._kubeconfig, f"operator-{secrets.token_hex(2)}", **settings)
            self._replica.start()
            self._replica.until_leader()
        return self._replica

    def stop(self) -> None:
        if self._replica is not None:
            self._replica.stop()
