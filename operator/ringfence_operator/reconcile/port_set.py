"""A policy's port set: allocated, kept as it should be, published to the gateway, and given back."""

from contextlib import suppress
from dataclasses import replace as replace_field

import structlog

from ringfence_operator.api.network import NetworkMode
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.errors import AlreadyExistsError, InvalidError, NotFoundError, TerminalError
from ringfence_operator.reconcile.create import replace
from ringfence_operator.reconcile.gateway import Gateway
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.view import View, block_of
from ringfence_operator.resources.domains import allowed_domains, blocked_domains, further_ports
from ringfence_operator.resources.gateway import build_port_set_service, further_offsets
from ringfence_operator.resources.observed import Service, digest, service_digest
from ringfence_operator.resources.port_set import BLOCKS, PortSet, block_name

RELEASE_SECONDS = 5.0
"""How soon it is looked again whether a block that is to be given back is still in use."""

log = structlog.get_logger()


class PortSetsFullError(TerminalError):
    """Every block is in use."""

    reason = "NoPortSet"


class TooManyPortsError(TerminalError):
    """The policy names more ports than a block has."""

    reason = "TooManyPorts"


class PortSets:
    """Allocates blocks, one at a time; a Service's name is the lock of its block."""

    def __init__(self, view: View, kube: Kube, gateway: Gateway) -> None:
        self._view = view
        self._kube = kube
        self.gateway = gateway
        self._locks = Locks()

    async def keep(self, policy: SecurityPolicy) -> PortSet:
        """Have the policy's port set as it should be, publish it, and return it.

        Raises PortSetsFullError or TooManyPortsError.
        """
        allowed = allowed_domains(policy) if policy.spec.network.enabled else ()
        service = self._view.port_set(policy)
        try:
            further = further_offsets(further_ports(allowed), service)
        except ValueError as error:
            raise TooManyPortsError(str(error)) from error
        service = await self._service(policy, service, further)
        found = PortSet(
            block=block_of(service),
            policy="/".join(policy.key),
            version="",
            address=service.address,
            is_audit=policy.spec.network.mode is NetworkMode.AUDIT,
            allowed=allowed,
            blocked=blocked_domains(policy),
            services=self._view.service_addresses(policy),
            further=further,
        )
        found = replace_field(found, version=digest(found.to_wire()))
        self.gateway.publish(found, generation=policy.metadata.generation)
        return found

    async def release(self, service: Service) -> float | None:
        """Give a block back whose policy is gone: closed first, free once nothing can reach it any more.

        Returns the seconds after which to look again.
        """
        block, view = block_of(service), self._view
        self.gateway.withdraw(block)
        if view.has_pods_under(service.policy) or not self.gateway.is_released(block, view.gateway_replicas()):
            return RELEASE_SECONDS
        with suppress(NotFoundError):
            await self._kube.delete(self._path(service.meta.name), uid=service.meta.uid)
            log.info("port_set.released", block=block, policy=service.policy)
        return None

    def _path(self, name: str = "") -> str:
        return path(CORE, self._view.settings.namespace, "services", name)

    async def _service(self, policy: SecurityPolicy, present: Service | None, further: dict[int, int]) -> Service:
        if present is None:
            return await self._allocate(policy, further)
        namespace = self._view.settings.namespace
        desired = build_port_set_service(block_of(present), policy.key, namespace=namespace, further=further)
        if service_digest(desired["spec"]) == present.digest:
            return present
        self._view.services.store(await replace(self._path(), desired, present.meta, self._kube))
        return self._stored(policy)

    async def _allocate(self, policy: SecurityPolicy, further: dict[int, int]) -> Service:
        async with self._locks.held("blocks"):
            found = self._view.port_set(policy)
            if found is not None:
                return found
            for block in self._free(policy):
                if await self._claim(block, policy, further):
                    log.info("port_set.allocated", block=block)
                    return self._stored(policy)
        raise PortSetsFullError(f"all {BLOCKS} port sets of the egress gateway are in use: delete a SecurityPolicy")

    def _free(self, policy: SecurityPolicy) -> list[int]:
        """Return the free blocks, the one that the policy had before somebody deleted its Service first."""
        used = {block_of(each) for each in self._view.port_sets()}
        before = policy.status.gateway
        had = before.service if before else ""
        return sorted((block for block in range(BLOCKS) if block not in used), key=lambda it: block_name(it) != had)

    async def _claim(self, block: int, policy: SecurityPolicy, further: dict[int, int]) -> bool:
        """Return False if somebody else has the block."""
        before = policy.status.gateway
        try:
            answer = await self._create(block, policy, further, before.address if before else "")
        except AlreadyExistsError:
            return False
        self._view.services.store(answer)
        return True

    async def _create(self, block: int, policy: SecurityPolicy, further: dict[int, int], address: str) -> Raw:
        """Create the Service, at the address that it had before if that can be: pods have it as their name server."""
        namespace = self._view.settings.namespace
        body = build_port_set_service(block, policy.key, namespace=namespace, further=further, address=address)
        try:
            return await self._kube.create(self._path(), body)
        except InvalidError:
            if not address:
                raise
            return await self._create(block, policy, further, "")

    def _stored(self, policy: SecurityPolicy) -> Service:
        found = self._view.port_set(policy)
        if found is None:
            raise AssertionError("stored a Service that the cache does not show")
        return found
