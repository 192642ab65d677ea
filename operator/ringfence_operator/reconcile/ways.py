"""Connectors' ways out: their port sets on the gateway, allocated, published, admitted, and given back."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace as replace_field
from functools import partial
from typing import Any, Final

from ringfence_operator.api.connector import Connector
from ringfence_operator.errors import OperatorError
from ringfence_operator.reconcile.block_use import is_reached
from ringfence_operator.reconcile.blocks import Blocks, Holder
from ringfence_operator.reconcile.gateway import Gateway, Standing
from ringfence_operator.reconcile.kept import Kept
from ringfence_operator.reconcile.port_set import RELEASE_SECONDS
from ringfence_operator.reconcile.ports import NETWORKING, Kube
from ringfence_operator.reconcile.view import View, block_of
from ringfence_operator.resources.connector_port_set import (
    Place,
    build_connector_admission,
    build_connector_service,
    further_of,
    listeners_of,
    offsets_of,
    tunnels_of,
)
from ringfence_operator.resources.gateway import admission_name
from ringfence_operator.resources.observed import Service, digest
from ringfence_operator.resources.port_set import (
    PROXY_PORT,
    Doors,
    Listener,
    PortSet,
    connector_holder,
    first_port,
)
from ringfence_operator.resources.sidecar_configuration import Proxy, Way

Credential = Callable[[str], tuple[str, str] | None]
"""Returns user and password of a connector's proxy by the connector's UID; None while they are not known."""


class CredentialUnknownError(OperatorError):
    """The operator has not read yet what it makes credentials of."""

    reason = "DependencyNotReady"
    retry_after = 1.0


class ConnectorWays:
    """A `reconcile.sidecars.Ways`; `later` has a connector (namespace and name) looked at again after so long."""

    def __init__(
        self,
        view: View,
        kube: Kube,
        gateway: Gateway,
        blocks: Blocks,
        *,
        credential: Credential,
        later: Callable[[tuple[str, str], float], None],
    ) -> None:
        self._view: Final = view
        self._gateway: Final = gateway
        self._blocks: Final = blocks
        self._admissions: Final = Kept(view.network_policies, kube, NETWORKING, "networkpolicies")
        self._credential: Final = credential
        self._later: Final = later
        self._published: dict[tuple[str, str], int] = {}
        """Which block the gateway was told of, for when its Service is deleted by hand."""

    async def keep(self, connector: Connector) -> Way | None:
        """Have the connector's port set as it should be, published and admitted; None if nothing of it lies outside.

        Raises PortSetsFullError, and CredentialUnknownError in the first moment of a leader.
        """
        tunnels, places = tunnels_of(connector), listeners_of(connector)
        if not tunnels and not places:
            again = await self.release(connector.key)
            if again is not None:
                self._later(connector.key, again)
            return None
        user, password = self._known_credential(connector)
        holder, before = connector_holder(*connector.key), connector.status.gateway
        offsets = offsets_of(places.values(), self._view.port_set_of(holder))
        build = partial(self._build, connector, offsets, bool(tunnels))
        had = Holder(holder, before.service, before.address) if before else Holder(holder)
        service = await self._blocks.keep(had, build)
        await self._admit(service, connector.key)
        shown = b64encode(f"{user}:{password}".encode()).decode()
        listeners = tuple(Listener(offset, *place) for place, offset in sorted(offsets.items()))
        found = PortSet(
            block=block_of(service),
            policy=holder,
            version="",
            address=service.address,
            is_audit=False,
            allowed=tunnels,
            blocked=(),
            services={},
            further=further_of(tunnels),
            doors=Doors(authorization=f"Basic {shown}", listeners=listeners),
        )
        found = replace_field(found, version=digest(found.to_wire()))
        self._published[connector.key] = found.block
        self._gateway.publish(found, generation=connector.metadata.generation)
        return self.way(connector)

    async def release(self, connector: tuple[str, str]) -> float | None:
        """Give the port set back of a connector (namespace and name) that is gone: closed first, free once unused.

        Returns the seconds after which to look again, if it is not free yet.
        """
        holder = connector_holder(*connector)
        service = self._view.port_set_of(holder)
        block = self._published.get(connector) if service is None else block_of(service)
        if block is None:
            return None
        self._gateway.withdraw(block)
        await self._admissions.remove(self._view.settings.namespace, admission_name(block))
        is_used = is_reached(holder, service.address if service else "", self._view)
        if is_used or not self._gateway.is_released(block, self._view.serving_replicas()):
            return RELEASE_SECONDS
        if service is not None:
            await self._blocks.free(service)
        self._published.pop(connector, None)
        return None

    def block(self, connector: Connector) -> int | None:
        """Return the block of the connector's port set, if it has one; known before credentials are."""
        service = self._view.port_set_of(connector_holder(*connector.key))
        if service is None or not service.address or not (tunnels_of(connector) or listeners_of(connector)):
            return None
        return block_of(service)

    def way(self, connector: Connector) -> Way | None:
        """Return the connector's port set, if it has one; never asks anybody."""
        service = self._view.port_set_of(connector_holder(*connector.key))
        credential = self._credential(connector.metadata.uid)
        if service is None or credential is None or self.block(connector) is None:
            return None
        tunnels, places = tunnels_of(connector), listeners_of(connector)
        base, offsets = first_port(block_of(service)), offsets_of(places.values(), service)
        proxy = Proxy(host=service.address, port=PROXY_PORT, username=credential[0], password=credential[1])
        return Way(
            block=block_of(service),
            service=service.meta.name,
            address=service.address,
            proxy=proxy if tunnels else None,
            listeners={
                name: (service.address, base + offsets[place]) for name, place in places.items() if place in offsets
            },
        )

    def standing(self, connector: tuple[str, str], replicas: Sequence[str]) -> Standing:
        """Return where the port set of the connector (namespace and name) stands on these replicas of the gateway."""
        return self._gateway.standing(connector_holder(*connector), replicas)

    async def restore(self, service: Service) -> bool:
        """Have the gateway's end of a connector's port set as it should be; False if nobody is to be admitted."""
        key = tuple(service.connector.split("/", 1))
        connector = self._view.connectors.get(*key) if service.connector else None
        if connector is None or self._view.port_set_of(service.holder) != service or self.block(connector) is None:
            return False
        await self._admit(service, connector.key)
        return True

    def _known_credential(self, connector: Connector) -> tuple[str, str]:
        found = self._credential(connector.metadata.uid)
        if found is None:
            raise CredentialUnknownError("the credentials of connectors' proxies are not known yet")
        return found

    def _build(
        self, connector: Connector, offsets: dict[Place, int], has_proxy: bool, block: int, address: str
    ) -> dict[str, Any]:
        return build_connector_service(
            block,
            connector.key,
            namespace=self._view.settings.namespace,
            offsets=offsets,
            has_proxy=has_proxy,
            address=address,
        )

    async def _admit(self, service: Service, connector: tuple[str, str]) -> None:
        desired = build_connector_admission(block_of(service), connector, namespace=self._view.settings.namespace)
        meta = desired["metadata"]
        await self._admissions.ensure(meta["namespace"], meta["name"], lambda: desired, digest(desired["spec"]))
