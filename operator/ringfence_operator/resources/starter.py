"""The starter in a pool's pod: it alone is told what to run, and hands it over to the agent's container.

The two share a volume in memory, which the starter writes and the agent's container reads.
"""

from dataclasses import dataclass
from typing import Any

from ringfence_operator import labels
from ringfence_operator.resources.sidecar import (
    API_SERVER,
    AUDIENCE,
    AUTHORITY_PATH,
    TOKEN_PATH,
    control_url,
    restricted,
    token_volume,
)

PLACE = "/run/ringfence"
VOLUME = "ringfence-start"
_MODE = 0o440
_WAIT = [f"{PLACE}/starter", "wait"]


@dataclass(frozen=True, slots=True)
class Starter:
    """What a pod's starter is made from."""

    image: str
    control: str
    """Address of the control server's Service."""


def build_starter(starter: Starter) -> dict[str, Any]:
    """Return the native sidecar that holds the token, and waits to be told what to run."""
    return {
        "name": "starter",
        "image": starter.image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["/ringfence-starter", "feed"],
        "env": [
            {"name": "RINGFENCE_STARTER_CONTROL", "value": control_url(starter.control)},
            {"name": "RINGFENCE_STARTER_CANARY", "value": API_SERVER},
        ],
        # The agent's container starts when the hook returns: what it runs, and its resolv.conf, are there by then.
        "lifecycle": {"postStart": {"exec": {"command": ["/ringfence-starter", "ready"]}}},
        "resources": {
            "requests": {"cpu": "5m", "memory": "16Mi", "ephemeral-storage": "1Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
        },
        "volumeMounts": [
            {"name": VOLUME, "mountPath": PLACE},
            {"name": "starter-token", "mountPath": TOKEN_PATH, "readOnly": True},
            {"name": "starter-authority", "mountPath": AUTHORITY_PATH, "readOnly": True},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": restricted(),
    }


def build_starter_volumes() -> list[dict[str, Any]]:
    """Return the volumes of the starter: one that the agent's container reads, and two that are its own."""
    return [
        {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
        token_volume("starter-token", AUDIENCE, _MODE),
        {"name": "starter-authority", "configMap": {"name": labels.AUTHORITY, "defaultMode": _MODE}},
    ]


def waiting(container: dict[str, Any]) -> dict[str, Any]:
    """Return the agent's container as it waits for what it is to run."""
    mounts = [
        {"name": VOLUME, "mountPath": PLACE, "readOnly": True},
        {"name": VOLUME, "mountPath": "/etc/resolv.conf", "subPath": "resolv.conf", "readOnly": True},
    ]
    return container | {"command": _WAIT, "volumeMounts": [*container["volumeMounts"], *mounts]}
