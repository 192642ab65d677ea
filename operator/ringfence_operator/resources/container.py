"""The agent's container: the user's image and command, and nothing that the user could loosen."""

from typing import Any

from ringfence_operator.api.agent import Agent, Isolation
from ringfence_operator.resources import volumes
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.sidecar import agent_environment
from ringfence_operator.resources.way_out import WayOut


def build_container(
    agent: Agent, effective: Effective, way_out: WayOut | None, *, has_sidecar: bool = False
) -> dict[str, Any]:
    """Return the container that runs the user's image."""
    spec = agent.spec
    container: dict[str, Any] = {
        "name": "agent",
        "image": spec.image,
        "env": _environment(agent, effective, way_out, has_sidecar=has_sidecar),
        "resources": {
            "requests": effective.requests,
            "limits": {name: limit.value for name, limit in effective.limits.items()},
        },
        "volumeMounts": volumes.build_mounts(agent, effective),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    context: dict[str, Any] = {"readOnlyRootFilesystem": effective.is_root_read_only.value}
    if effective.isolation.value is not Isolation.NONE:
        context |= {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container["securityContext"] = context
    for name, value in (("command", spec.command), ("args", spec.args), ("workingDir", spec.working_dir)):
        if value:
            container[name] = value if isinstance(value, str) else list(value)
    if spec.env_from:
        container["envFrom"] = [each.to_body() for each in spec.env_from]
    if spec.ports:
        container["ports"] = [
            {"name": port.name, "containerPort": port.port, "protocol": port.protocol} for port in spec.ports
        ]
    return container | _probes(agent)


def _environment(
    agent: Agent, effective: Effective, way_out: WayOut | None, *, has_sidecar: bool
) -> list[dict[str, Any]]:
    """The user's variables, and before them ours that they do not set.

    HOME, since user 65532 has no entry in the image's passwd file; the way out, for programs that heed proxies; and
    where the sidecar is.
    """
    given = [each.to_body() for each in agent.spec.env]
    ours = agent_environment() if has_sidecar else []
    if effective.isolation.value is not Isolation.NONE:
        writable = volumes.writable_mounts(agent, effective)
        ours += [{"name": "HOME", "value": writable[0]}] if writable else []
        ours += way_out.environment() if way_out else []
    names = {each["name"] for each in given}
    return [each for each in ours if each["name"] not in names] + given


def _probes(agent: Agent) -> dict[str, Any]:
    probes = agent.spec.probes
    named = {"startupProbe": probes.startup, "readinessProbe": probes.readiness, "livenessProbe": probes.liveness}
    return {name: probe.to_body() for name, probe in named.items() if probe is not None}
