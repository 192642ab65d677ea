"""Sidecars and ways out in memory: what was told, and what they report."""

from collections.abc import Mapping, Sequence
from typing import Any

from ringfence_operator.api.connector import Connector
from ringfence_operator.reconcile.gateway import Force, Standing
from ringfence_operator.reconcile.port_set import PortSetsFullError
from ringfence_operator.reconcile.sidecars import ConnectorHealth, Inside
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.sidecar_configuration import Proxy, Way, with_limits


class FakeSidecars:
    """Implements the port `Sidecars`."""

    def __init__(self) -> None:
        self.served: dict[str, tuple[str, dict[str, Any]]] = {}
        self.admitted: dict[str, str] = {}
        self.reports: dict[tuple[str, str], ConnectorHealth] = {}
        self.found: Inside | None = Inside(closed=True)
        self.has_heard = True

    def admit(self, pod_uid: str, address: str) -> None:
        if pod_uid not in self.served:
            self.admitted[pod_uid] = address

    def publish(self, pod_uid: str, address: str, configuration: dict[str, Any]) -> None:
        self.served[pod_uid] = address, configuration

    def limit(self, pod_uid: str, limits: Sequence[Mapping[str, Any]]) -> None:
        address, configuration = self.served[pod_uid]
        self.served[pod_uid] = address, with_limits(configuration, limits)

    def withdraw(self, pod_uid: str) -> None:
        self.served.pop(pod_uid, None)

    def health(self, connector: tuple[str, str], generation: int) -> ConnectorHealth:  # noqa: ARG002 - the port's
        return self.reports.get(connector, ConnectorHealth())

    def has_reported(self, pod_uid: str) -> bool:  # noqa: ARG002 - the port's
        return self.has_heard

    def inside(self, pod_uid: str) -> Inside | None:  # noqa: ARG002 - the port's
        return self.found if self.has_heard else None


class FakeWays:
    """Implements the port `Ways`: whoever has an endpoint outside has the next block."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Way] = {}
        self.force = Force.IN_FORCE
        self.is_full = False

    async def keep(self, connector: Connector) -> Way | None:
        if not any(each.host for each in connector.endpoints):
            return None
        if self.is_full:
            raise PortSetsFullError("all port sets are in use")
        block = len(self.held)
        proxy = Proxy(host="10.96.1.1", port=3129, username="u", password="p")
        way = Way(block=block, service=f"p-{block:05}", address="10.96.1.1", proxy=proxy)
        return self.held.setdefault(connector.key, way)

    async def release(self, connector: tuple[str, str]) -> float | None:
        self.held.pop(connector, None)
        return None

    async def restore(self, service: Service) -> bool:
        return tuple(service.connector.split("/", 1)) in self.held

    def block(self, connector: Connector) -> int | None:
        found = self.held.get(connector.key)
        return found.block if found else None

    def way(self, connector: Connector) -> Way | None:
        return self.held.get(connector.key)

    def standing(self, connector: tuple[str, str], replicas: Sequence[str]) -> Standing:  # noqa: ARG002
        return Standing(self.force)
