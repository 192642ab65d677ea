"""The process's settings, from environment variables: `RINGFENCE_SIDECAR_` and the field in capitals."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "RINGFENCE_SIDECAR_"
LEVELS: Final = ("debug", "info", "warning", "error")
_NUMBER = re.compile(r"[0-9]{1,9}")
_MOST_PORT = 65_535


class VariableError(Exception):
    """A variable does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the pod's builder decides."""

    control: str = ""
    """`https://address:port` of the control server."""
    configuration_file: Path | None = None
    """Instead of a control server, for development and tests: read again whenever it changes."""
    token_file: Path = Path("/var/run/ringfence/token/token")
    authority_file: Path = Path("/var/run/ringfence/authority/ca.crt")
    canary: str = ""
    """`host:port` that must not be reached from the pod; nothing is looked at if it is empty."""
    way_out: str = ""
    """`host:port` of the policy's port set on the egress gateway, which must be; empty without one."""
    pod: str = ""
    """The pod's name, for the audit."""
    port: int = 8811
    """Port on 127.0.0.1 of MCP and REST."""
    health_host: str = ""
    """Address of health and metrics; all of the pod's if it is empty, since the kubelet and Prometheus ask."""
    health_port: int = 8812
    max_body_bytes: int = 8_388_608
    """Longest body of a request."""
    max_connections: int = 256
    """Connections to MCP and REST at once; streams hold one each."""
    start_seconds: int = 3
    """How long after its start the process has calls wait for its first configuration: the agent starts before the
    kubelet has published the pod's address, without which the operator hands out nothing."""
    stop_seconds: int = 10
    """How long calls may go on once the process was told to stop."""
    warm: bool = False
    """True in a pod that waits for an agent: without a configuration it is ready once the operator has answered, and
    the time that calls wait for the first one counts from the first call, which no other than that agent makes."""
    log_level: str = "info"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Return what `environ` holds. Raises VariableError, naming the variable, for what does not fit.

        A variable that is not known is none of ours: Kubernetes gives such names to the addresses of Services.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            if text := environ.get(name):
                values[field.name] = _parse(name, text, field.default)
        made = cls(**values)
        if bool(made.control) == (made.configuration_file is not None):
            raise VariableError(f"set either {PREFIX}CONTROL or, for development, {PREFIX}CONFIGURATION_FILE")
        if made.control and not re.fullmatch(r"https://.+:[0-9]{1,5}", made.control):
            raise VariableError(f"{PREFIX}CONTROL: {made.control!r} must be https://ADDRESS:PORT")
        for name, port in (("PORT", made.port), ("HEALTH_PORT", made.health_port)):
            if port > _MOST_PORT:
                raise VariableError(f"{PREFIX}{name}: {port} must be a port")
        if made.log_level not in LEVELS:
            raise VariableError(f"{PREFIX}LOG_LEVEL: {made.log_level!r} must be one of {', '.join(LEVELS)}")
        return made


def variables() -> list[str]:
    """Return the names of the environment variables that hold the settings."""
    return [PREFIX + field.name.upper() for field in fields(Settings)]


def _parse(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise VariableError(f"{name}: {text!r} must be true or false")
        return text == "true"
    if isinstance(default, int):
        if not _NUMBER.fullmatch(text):
            raise VariableError(f"{name}: {text!r} must be a whole number")
        return int(text)
    return text if isinstance(default, str) else Path(text)
