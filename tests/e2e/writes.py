"""What was written to the API server, by its audit log; where it keeps none, by what changed."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.kube import Kube, address

WATCHED = (
    "Agent",
    "Connector",
    "SecurityPolicy",
    "ConfigMap",
    "Pod",
    "NetworkPolicy",
    "Service",
    "PersistentVolumeClaim",
    "Event",
)


@dataclass(frozen=True, slots=True)
class Write:
    """One write of the operator: when the server received it (RFC 3339), what and to which object."""

    time: str
    verb: str
    path: str
    code: int


class AuditLog:
    """The audit log of a cluster that `python3 -m devcluster` made."""

    def __init__(self, kubeconfig: Path) -> None:
        given = os.environ.get("AUDIT_LOG")
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "ringfence"
        self.path = Path(given) if given else state / kubeconfig.stem / "audit.log"

    @property
    def exists(self) -> bool:
        return self.path.is_file()

    def mark(self) -> int:
        """Return where the log ends now."""
        return self.path.stat().st_size if self.exists else 0

    def writes_since(self, mark: int) -> list[Write]:
        """Return the operator's writes since then; renewals of its Lease do not count."""
        if not self.exists:
            return []
        with self.path.open() as log:
            log.seek(mark)
            events = [json.loads(line) for line in log]
        return [
            Write(
                each["requestReceivedTimestamp"],
                each["verb"],
                each["requestURI"].partition("?")[0],
                each["responseStatus"]["code"],
            )
            for each in events
            if each.get("userAgent", "").startswith("ringfence-operator") and "/leases/" not in each["requestURI"]
        ]


def versions(kube: Kube, *kinds: str) -> dict[str, str]:
    """Return the resourceVersion of every object that the operator could have written."""
    return {
        f"{kind} {each['metadata'].get('namespace')}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for kind in kinds or WATCHED
        for each in kube.items(address(kind))
    }
