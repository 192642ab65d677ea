"""What the reconcilers know of the agents' sidecars and of connectors' ways out, as Protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ringfence_operator.api.connector import Connector
from ringfence_operator.reconcile.gateway import Standing
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.sidecar_configuration import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How the sidecars that have a connector find one of its endpoints."""

    healthy: int = 0
    """Sidecars that reach it."""
    unhealthy: int = 0
    """Sidecars that do not."""
    latency_ms: float = 0.0
    """Median of those that reach it."""
    reason: str = ""
    """Of those that do not, what most of them say."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorHealth:
    """What the sidecars report of a connector, at its present generation."""

    endpoints: Mapping[str, EndpointHealth] = field(default_factory=dict)
    cache_reachable: bool | None = None
    """False if a sidecar that has the connector does not reach Redis; None without Redis, or without a report."""
    cache_evicts: str = ""
    """The policy by which Redis may throw the cache's counters away, as a sidecar found it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a pod's network is like, as its sidecar finds it."""

    closed: bool
    """True if what nothing permits could not be reached."""
    way_out: bool | None = None
    """Whether the policy's port set answers; None without one."""


class Sidecars(Protocol):
    """The sidecars, through the control process. What has been said stays said when the control process restarts."""

    def admit(self, pod_uid: str, address: str) -> None:
        """Let the sidecar of this warm pod ask from this address; it is told nothing before an agent has the pod.

        Said again on each pass: what does not differ must cost nothing. Nothing becomes of it where something was
        published for the pod: of two watches one may still show it as warm.
        """

    def publish(self, pod_uid: str, address: str, configuration: dict[str, Any]) -> None:
        """Have the sidecar of this pod served `configuration`, and no other pod and no other address.

        Said again on each pass: what does not differ must cost nothing. A poll of a pod of which nothing was said yet
        is to come again: the pod may be newer than what we saw.
        """

    def limit(self, pod_uid: str, limits: Sequence[Mapping[str, Any]]) -> None:
        """Have the sidecar of this pod keep these limits; nothing, if it is served nothing."""

    def withdraw(self, pod_uid: str) -> None:
        """Have this pod's sidecar served nothing any more: the pod is gone."""

    def health(self, connector: tuple[str, str], generation: int) -> ConnectorHealth:
        """Return what the sidecars that have this generation of the connector (namespace and name) report."""

    def has_reported(self, pod_uid: str) -> bool:
        """Return True if the pod's sidecar has reported since this replica leads."""

    def inside(self, pod_uid: str) -> Inside | None:
        """Return what the pod's network is like; None if its sidecar has not said, or is of a version that does not."""


class Ways(Protocol):
    """The connectors' port sets on the egress gateway."""

    async def keep(self, connector: Connector) -> Way | None:
        """Have the connector's port set as it should be, published and admitted; None if nothing of it lies outside.

        Raises PortSetsFullError.
        """

    async def release(self, connector: tuple[str, str]) -> float | None:
        """Give the port set back of a connector (namespace and name) that is gone.

        Returns the seconds after which to look again, if it is not free yet.
        """

    async def restore(self, service: Service) -> bool:
        """Have the gateway's end of a connector's port set as it should be; False if nobody is to be admitted."""

    def block(self, connector: Connector) -> int | None:
        """Return the block of the connector's port set, if it has one; known before credentials are."""

    def way(self, connector: Connector) -> Way | None:
        """Return the connector's port set, if it has one and its credentials are known; never asks anybody."""

    def standing(self, connector: tuple[str, str], replicas: Sequence[str]) -> Standing:
        """Return where the port set of the connector (namespace and name) stands on these replicas of the gateway."""
