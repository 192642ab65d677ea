"""The sidecar in an agent's pod: the only container that holds a credential, or a token of the cluster.

It shares the pod's network with the agent's container, and neither its files nor its user.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.connector_auth import SnowflakeAuth
from ringfence_operator.api.sidecar import API_PORT, HEALTH_PORT
from ringfence_operator.resources.observed import digest
from ringfence_operator.resources.sidecar_configuration import IDENTITIES, SECRETS, TOKEN_FILE
from ringfence_operator.resources.way_out import WayOut

CONTROL_PORT = 18443
AUDIENCE = "ringfence-control"
USER_ID = 65533
"""The sidecar's user: not the agent's."""
TOKEN_SECONDS = 3607
"""How long a token is valid; the kubelet renews it after four fifths."""
TOKEN_PATH, AUTHORITY_PATH = "/var/run/ringfence/token", "/var/run/ringfence/authority"
API_SERVER = "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"
"""The kubelet puts in the address: the one server that every cluster has, and that no policy may open."""
_SCRATCH = "/tmp"  # noqa: S108 - of the sidecar's own container


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What an agent's sidecar is made from, besides the agent: image, control server, and the connectors bound."""

    image: str
    control: str
    """Address of the control server's Service."""
    connectors: tuple[Connector, ...]
    collector: str = ""
    """`http://address:port` of the collector of traces and audit lines, or nothing."""
    has_stream: bool = False
    """Whether audit lines go to a stream; which one, the control server says."""

    @property
    def hash(self) -> str:
        """Digest of the container and its volumes: another one means that a running sidecar is outdated."""
        return digest([build_sidecar(self), build_sidecar_volumes(self, mode=_READ_ONLY)])

    @property
    def names(self) -> tuple[str, ...]:
        """The connectors' names."""
        return tuple(each.metadata.name for each in self.connectors)


_READ_ONLY, _READ_ONLY_BY_ALL = 0o440, 0o444


def sidecar_labels(names: Sequence[str]) -> dict[str, str]:
    """Return the labels of a pod whose sidecar may reach the connectors of these names."""
    return {labels.SIDECAR: "true", **{f"{labels.CONNECTORS}{name}": "true" for name in names}}


def build_sidecar(sidecar: Sidecar, more: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the native sidecar: up before the agent's container, stopped after it.

    `more` are the variables that tell it what to look at from inside (`looks_inside`), or that nobody has the pod yet.
    """
    probe = {"port": HEALTH_PORT, "scheme": "HTTP"}
    return {
        "name": "sidecar",
        "image": sidecar.image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "env": [
            {"name": "RINGFENCE_SIDECAR_CONTROL", "value": control_url(sidecar.control)},
            {
                "name": "RINGFENCE_SIDECAR_POD",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            },
            {"name": "HOME", "value": _SCRATCH},
            *_telemetry(sidecar),
            *more,
        ],
        "ports": [{"name": "sidecar-http", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        # The agent's container starts when the hook returns; a startup probe would cost up to its period more. It waits
        # for an answer, and not for readiness: the kubelet tells the pod's address only after it.
        "lifecycle": {"postStart": {"exec": {"command": ["/app/bin/python", "-m", "ringfence_sidecar.wait"]}}},
        # Usually ready within the first second; the pod is as late as the probe that finds it so.
        "readinessProbe": {
            "httpGet": {"path": "/readyz", **probe},
            "initialDelaySeconds": 1,
            "periodSeconds": 2,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/healthz", **probe},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
            "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "128Mi"},
        },
        "volumeMounts": _mounts(sidecar),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": restricted(),
    }


def control_url(address: str) -> str:
    """Return where the control server is, by its Service's address."""
    host = f"[{address}]" if ip_address(address).version == 6 else address  # noqa: PLR2004
    return f"https://{host}:{CONTROL_PORT}"


def restricted() -> dict[str, Any]:
    """Return the security context of a container of ours in an agent's pod."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def looks_inside(way_out: WayOut | None) -> list[dict[str, Any]]:
    """Return the variables for the sidecar of a pod that is confined: what it must not reach, and what it must."""
    found = [{"name": "RINGFENCE_SIDECAR_CANARY", "value": API_SERVER}]
    if way_out and way_out.has_proxy:
        found.append({"name": "RINGFENCE_SIDECAR_WAY_OUT", "value": way_out.proxy})
    return found


def _telemetry(sidecar: Sidecar) -> list[dict[str, Any]]:
    if not sidecar.collector and not sidecar.has_stream:
        return []
    exporters = ["stdout", *(["otlp"] if sidecar.collector else []), *(["stream"] if sidecar.has_stream else [])]
    endpoint = [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": sidecar.collector}] if sidecar.collector else []
    return [*endpoint, {"name": "RINGFENCE_SIDECAR_AUDIT", "value": ",".join(exporters)}]


def _mounts(sidecar: Sidecar) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "sidecar-scratch", "mountPath": _SCRATCH},
        {"name": "sidecar-token", "mountPath": TOKEN_PATH, "readOnly": True},
        {"name": "sidecar-authority", "mountPath": AUTHORITY_PATH, "readOnly": True},
    ]
    for index, connector in enumerate(sidecar.connectors):
        name = connector.metadata.name
        if connector.secret:
            mounts.append({"name": f"connector-{index}", "mountPath": f"{SECRETS}/{name}", "readOnly": True})
        if _audience(connector):
            mounts.append({"name": f"identity-{index}", "mountPath": f"{IDENTITIES}/{name}", "readOnly": True})
    return mounts


def build_sidecar_volumes(sidecar: Sidecar, *, mode: int) -> list[dict[str, Any]]:
    """Return the volumes that the sidecar mounts, and nobody else; `mode` is that of their files."""
    volumes: list[dict[str, Any]] = [
        {"name": "sidecar-scratch", "emptyDir": {"sizeLimit": "64Mi"}},
        token_volume("sidecar-token", AUDIENCE, mode),
        {"name": "sidecar-authority", "configMap": {"name": labels.AUTHORITY, "defaultMode": mode}},
    ]
    for index, connector in enumerate(sidecar.connectors):
        if connector.secret:
            secret = {"secretName": connector.secret, "defaultMode": mode}
            volumes.append({"name": f"connector-{index}", "secret": secret})
        if audience := _audience(connector):
            volumes.append(token_volume(f"identity-{index}", audience, mode))
    return volumes


def file_mode(*, has_group: bool) -> int:
    """Return the mode of the sidecar's files: for the pod's group, where the pod has one of its own."""
    return _READ_ONLY if has_group else _READ_ONLY_BY_ALL


def token_volume(name: str, audience: str, mode: int) -> dict[str, Any]:
    """Return a volume with a token that only this audience takes."""
    source = {"audience": audience, "expirationSeconds": TOKEN_SECONDS, "path": TOKEN_FILE}
    return {"name": name, "projected": {"defaultMode": mode, "sources": [{"serviceAccountToken": source}]}}


def credentials_of(connectors: Sequence[Connector]) -> list[list[str]]:
    """Return what a pod is made with for these connectors: of each, name, Secret and the audience of its token."""
    found = ([each.metadata.name, each.secret or "", _audience(each)] for each in connectors)
    return sorted(found)


def unassigned() -> list[dict[str, Any]]:
    """Return the variables for the sidecar of a warm pod: it is ready without a configuration, until there is one.

    It looks at nothing from inside: the pod's starter does.
    """
    return [{"name": "RINGFENCE_SIDECAR_WARM", "value": "true"}]


def _audience(connector: Connector) -> str:
    auth = connector.auth
    identity = auth.workload_identity if isinstance(auth, SnowflakeAuth) else None
    return identity.audience if identity else ""


def agent_environment() -> list[dict[str, Any]]:
    """Return the variables that tell the agent where its sidecar is."""
    base = f"http://127.0.0.1:{API_PORT}"
    return [
        {"name": "RINGFENCE_MCP_URL", "value": f"{base}/mcp"},
        {"name": "RINGFENCE_API_URL", "value": f"{base}/v1"},
    ]
