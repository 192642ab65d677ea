"""The process's settings, from environment variables: `RINGFENCE_GATEWAY_` and the field in capitals."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

PREFIX = "RINGFENCE_GATEWAY_"
LEVELS = ("debug", "info", "warning", "error")


class VariableError(Exception):
    """A variable does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the Deployment decides."""

    pod: str
    """The pod's name; its node in the subscription is `POD/dns`."""
    control: str
    """`host:port` of the control process; all addresses behind the host are tried."""
    control_name: str = ""
    """The name that the control process's certificate must be for; the host of `control` if it is empty."""
    tls_directory: Path = Path("/etc/ringfence/tls")
    """Holds ca.crt, tls.crt and tls.key."""
    run_directory: Path = Path("/run/ringfence")
    """Shared with Envoy: als.sock and admin.sock."""
    http_port: int = 8082
    """Port of /metrics, /healthz and /readyz."""
    resolver_port: int = 5355
    """Port on 127.0.0.1 where Envoy resolves names."""
    log_level: str = "info"
    test_unfiltered_resolver: bool = False
    """For tests only: hand on private addresses, so that what stands behind this layer can be tested alone."""

    @property
    def control_host(self) -> str:
        """Return the host of `control`, without brackets."""
        return self.control.rpartition(":")[0].strip("[]")

    @property
    def control_port(self) -> int:
        """Return the port of `control`."""
        return int(self.control.rpartition(":")[2])

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Environment":
        """Return what `environ` holds. Raises VariableError, naming the variable, for what does not fit.

        A variable that is not known is none of ours: Kubernetes gives such names to the addresses of Services.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            if text := environ.get(name):
                values[field.name] = _parse(name, text, type(field.default))
            elif field.default is MISSING:
                raise VariableError(f"{name} is missing")
        made = cls(**values)
        if not re.fullmatch(r".+:[0-9]{1,5}", made.control):
            raise VariableError(f"{PREFIX}CONTROL: {made.control!r} must be host:port")
        if made.log_level not in LEVELS:
            raise VariableError(f"{PREFIX}LOG_LEVEL: {made.log_level!r} must be one of {', '.join(LEVELS)}")
        return made


def variables() -> list[str]:
    """Return the names of the environment variables that hold the settings."""
    return [PREFIX + field.name.upper() for field in fields(Environment)]


def _parse(name: str, text: str, kind: type[object]) -> object:
    if kind is bool:
        if text not in {"true", "false"}:
            raise VariableError(f"{name}: {text!r} must be true or false")
        return text == "true"
    if kind is int:
        if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) >= 1 << 16:
            raise VariableError(f"{name}: {text!r} must be a port")
        return int(text)
    return Path(text) if issubclass(kind, Path) else text
