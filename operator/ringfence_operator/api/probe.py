"""Probes: how the kubelet finds out how an agent is doing."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import Port
from ringfence_operator.api.rule import Rule


class Scheme(StrEnum):
    """How an HTTP probe connects."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"


class HttpGet(Model):
    """Succeeds on an answer between 200 and 399."""

    path: Annotated[str, Field(max_length=1024), Rule("self.startsWith('/')", "write a path such as /healthz")] = "/"
    """Path to ask for."""

    port: Port
    """Port to connect to."""

    scheme: Scheme = Scheme.HTTP
    """HTTP, or HTTPS without a check of the certificate."""


class TcpSocket(Model):
    """Succeeds when the port accepts a connection."""

    port: Port
    """Port to connect to."""


class Exec(Model):
    """Succeeds when a command in the container ends with exit code 0."""

    command: Annotated[Items[Annotated[str, Field(max_length=4096)]], Field(min_length=1, max_length=64)]
    """The command and its arguments; no shell is involved."""


class Probe(Model):
    """One check, and how often it is made."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.httpGet), has(self.tcpSocket), has(self.exec)].filter(given, given).size() == 1",
            "name exactly one check: httpGet, tcpSocket or exec",
        ),
    )

    http_get: HttpGet | None = None
    """Asks for a page."""

    tcp_socket: TcpSocket | None = None
    """Opens a connection."""

    exec: Exec | None = None
    """Runs a command."""

    initial_delay_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    """Seconds from the container's start to the first check."""

    period_seconds: Annotated[int, Field(ge=1, le=86400)] = 10
    """Seconds between checks."""

    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 1
    """Seconds after which a check has failed."""

    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = 3
    """Failures in a row that count as one."""


class ReadinessProbe(Probe):
    """A check that decides whether the agent is ready."""

    success_threshold: Annotated[int, Field(ge=1, le=1000)] = 1
    """Successes in a row after which the agent is ready again."""


class Probes(Model):
    """The checks on an agent."""

    startup: Probe | None = None
    """Holds the other two back until it succeeds once; the container is restarted when it does not."""

    readiness: ReadinessProbe | None = None
    """Decides whether the agent is ready, and so whether its Service sends it requests."""

    liveness: Probe | None = None
    """The container is restarted when it fails."""
