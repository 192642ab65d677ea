"""A policy's port set: allocated, kept as it should be, published to the gateway, and given back."""

from contextlib import suppress
from dataclasses import replace as replace_field

import structlog

from ringfence_operator.api.network import NetworkMode
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError, TerminalError
from ringfence_operator.reconcile.create import replace
from ringfence_operator.reconcile.gateway import Gateway
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.view import View, block_of
from ringfence_operator.resources.domains import allowed_domains, blocked_domains, further_ports, on_ports
from ringfence_operator.resources.gateway import build_port_set_service, further_offsets
from ringfence_operator.resources.observed import Service, digest, observe_service, service_digest
from ringfence_operator.resources.port_set import BLOCKS, PortSet, block_name

RELEASE_SECONDS = 5.0
"""How soon it is looked again whether a block that is to be given back is still in use."""

log = structlog.get_logger()


class PortSetsFullError(TerminalError):
    """Every block is in use."""

    reason = "NoPortSet"


class PortSets:
    """Allocates blocks, to several policies at a time; a Service's name is the lock of its block."""

    def __init__(self, view: View, kube: Kube, gateway: Gateway) -> None:
        self._view = view
        self._kube = kube
        self.gateway = gateway
        self._locks = Locks()
        self._claiming: set[int] = set()
        """Blocks that another policy's pass asks the API server for right now."""

    async def keep(self, policy: SecurityPolicy) -> list[int]:
        """Have the policy's port set as it should be, publish it, and return the ports that have no place in it.

        Those stay closed, and all else is published: what the policy no longer allows must not stay open for a mistake.
        Raises PortSetsFullError.
        """
        network = policy.spec.network
        allowed = allowed_domains(policy) if network.enabled else ()
        ports = further_ports(allowed)
        service = self._view.port_set(policy)
        further = further_offsets(ports, service)
        service = await self._service(policy, service, further)
        found = PortSet(
            block=block_of(service),
            policy="/".join(policy.key),
            version="",
            address=service.address,
            is_audit=network.enabled and network.mode is NetworkMode.AUDIT,
            allowed=on_ports(allowed, further),
            blocked=blocked_domains(policy),
            services=self._view.service_addresses(policy),
            further=further,
        )
        found = replace_field(found, version=digest(found.to_wire()))
        self.gateway.publish(found, generation=policy.metadata.generation)
        return [port for port in ports if port not in further]

    async def release(self, service: Service) -> float | None:
        """Give a block back whose policy is gone: closed first, free once nothing can reach it any more.

        Returns the seconds after which to look again.
        """
        block, view = block_of(service), self._view
        self.gateway.withdraw(block)
        if view.is_in_use(service) or not self.gateway.is_released(block, view.serving_replicas()):
            return RELEASE_SECONDS
        with suppress(NotFoundError):
            await self._kube.delete(self._path(service.meta.name), uid=service.meta.uid)
            log.info("port_set.released", block=block, policy=service.policy)
        return None

    def forget(self, block: int) -> float | None:
        """Close a block whose Service somebody deleted, unless its policy is about to have it again.

        Returns the seconds after which to look again.
        """
        holder = self.gateway.holder(block)
        policy = self._view.policies.get(*holder.split("/", 1)) if holder else None
        if policy is not None and self._view.port_set(policy) is None:
            return RELEASE_SECONDS
        self.gateway.withdraw(block)
        return None

    def _path(self, *name: str) -> str:
        return path(CORE, self._view.settings.namespace, "services", *name)

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
        async with self._locks.held(policy.key):
            found = self._view.port_set(policy)
            for block in self._free(policy):
                if found is not None:
                    return found
                found = await self._take(block, policy, further)
        if found is not None:
            return found
        raise PortSetsFullError(f"all {BLOCKS} port sets of the egress gateway are in use: delete a SecurityPolicy")

    async def _take(self, block: int, policy: SecurityPolicy, further: dict[int, int]) -> Service | None:
        """Return the policy's Service, or None if another policy has the block, or is about to."""
        if block in self._claiming:
            return None
        self._claiming.add(block)
        try:
            found = await self._claim(block, policy, further)
        finally:
            self._claiming.discard(block)
        if found is not None:
            log.info("port_set.allocated", block=block)
        return found

    def _free(self, policy: SecurityPolicy) -> list[int]:
        """Return the free blocks, the one that the policy had before somebody deleted its Service first."""
        used = {block_of(each) for each in self._view.port_sets()}
        before = policy.status.gateway
        had = before.service if before else ""
        return sorted((block for block in range(BLOCKS) if block not in used), key=lambda it: block_name(it) != had)

    async def _claim(self, block: int, policy: SecurityPolicy, further: dict[int, int]) -> Service | None:
        """Return the policy's Service, or None if somebody else has the block."""
        before = policy.status.gateway
        try:
            answer = await self._create(block, policy, further, before.address if before else "")
        except AlreadyExistsError:
            answer = await self._present(block, policy, further)
        self._view.services.store(answer)
        return self._view.port_set(policy)

    async def _present(self, block: int, policy: SecurityPolicy, further: dict[int, int]) -> Raw:
        """Return the Service of a block that the caches show as free.

        A predecessor made it a moment ago, maybe for this policy; or somebody took its labels, which it gets back.
        """
        raw = await self._kube.get(self._path(block_name(block)))
        found, before = observe_service(raw), policy.status.gateway
        if found.policy or before is None or before.service != found.meta.name:
            return raw
        namespace = self._view.settings.namespace
        desired = build_port_set_service(block, policy.key, namespace=namespace, further=further)
        return await replace(self._path(), desired, found.meta, self._kube)

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
            raise ConflictError("the Service of the port set was deleted while it was being written")
        return found
