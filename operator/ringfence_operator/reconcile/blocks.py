"""Blocks of the gateway's ports, for policies and connectors, several at a time; a Service's name is the lock."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import structlog

from ringfence_operator.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError, TerminalError
from ringfence_operator.reconcile.block_use import awaited_blocks, is_reached
from ringfence_operator.reconcile.create import replace
from ringfence_operator.reconcile.gateway import Gateway
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.view import View, block_of
from ringfence_operator.resources.gateway import admission_name
from ringfence_operator.resources.observed import Service, observe_service, service_digest
from ringfence_operator.resources.port_set import BLOCKS, block_name

log = structlog.get_logger()

Build = Callable[[int, str], Raw]
"""Returns the Service of a block, at an address if one is given."""


class PortSetsFullError(TerminalError):
    """Every block is in use."""

    reason = "NoPortSet"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a block is, as `Service.holder` has it, and the Service that it had before, by name and address."""

    key: str
    service: str = ""
    address: str = ""


class Blocks:
    """Allocates blocks, keeps their Services as they should be, and gives them back."""

    def __init__(self, view: View, kube: Kube, gateway: Gateway) -> None:
        self._view = view
        self._kube = kube
        self._gateway = gateway
        self._locks = Locks()
        self._claiming: set[int] = set()
        """Blocks that another holder's pass asks the API server for right now."""

    async def keep(self, holder: Holder, build: Build) -> Service:
        """Have the holder's Service as `build` says, and return it. Raises PortSetsFullError."""
        present = self._view.port_set_of(holder.key)
        if present is None:
            return await self._allocate(holder, build)
        desired = build(block_of(present), "")
        if service_digest(desired["spec"]) == present.digest:
            return present
        self._view.services.store(await replace(self._path(), desired, present.meta, self._kube))
        return self._stored(holder)

    async def free(self, service: Service) -> None:
        """Delete the Service of a block that nobody can reach any more."""
        with suppress(NotFoundError):
            await self._kube.delete(self._path(service.meta.name), uid=service.meta.uid)
            log.info("port_set.released", block=block_of(service), holder=service.holder)

    def _path(self, *name: str) -> str:
        return path(CORE, self._view.settings.namespace, "services", *name)

    async def _allocate(self, holder: Holder, build: Build) -> Service:
        async with self._locks.held(holder.key):
            found = self._view.port_set_of(holder.key)
            for block in self._candidates(holder):
                if found is not None:
                    return found
                if self._is_own(block, holder) or self._is_unused(block):
                    found = await self._take(block, holder, build)
                elif self._is_left_open(block):
                    self._gateway.withdraw(block)
        if found is not None:
            return found
        raise PortSetsFullError(
            f"all {BLOCKS} port sets of the egress gateway are in use: delete a SecurityPolicy or a Connector"
        )

    async def _take(self, block: int, holder: Holder, build: Build) -> Service | None:
        """Return the holder's Service, or None if another has the block, or is about to."""
        if block in self._claiming:
            return None
        self._claiming.add(block)
        try:
            found = await self._claim(block, holder, build)
        finally:
            self._claiming.discard(block)
        if found is not None:
            log.info("port_set.allocated", block=block)
        return found

    def _candidates(self, holder: Holder) -> Iterator[int]:
        """Yield the blocks without a Service that nobody else is about to have again, first the one that was its own.

        That is the one which the holder had before somebody deleted its Service.
        """
        used = {block_of(each) for each in self._view.port_sets()}
        awaited = awaited_blocks(self._view)
        left = [each for each in range(BLOCKS) if each not in used]
        for block in sorted(left, key=lambda it: not self._is_own(it, holder)):
            if self._is_own(block, holder) or awaited.get(block_name(block), holder.key) == holder.key:
                yield block

    def _is_own(self, block: int, holder: Holder) -> bool:
        """Return True if the block was the holder's and nobody's since, as far as anybody knows."""
        published, former = self._gateway.holder(block), self._gateway.former(block)
        last = published or (former.policy if former is not None else "")
        return last == holder.key if last else block_name(block) == holder.service

    def _is_unused(self, block: int) -> bool:
        """Return True if no replica of the gateway serves the block, and nobody's pods reach it.

        The Service is a block's lock, but somebody may have deleted it.
        """
        gateway, view = self._gateway, self._view
        if gateway.holder(block) or self._is_left_open(block) or gateway.is_closing(block, view.serving_replicas()):
            return False
        former = gateway.former(block)
        return former is None or not is_reached(former.policy, former.address, view)

    def _is_left_open(self, block: int) -> bool:
        """Return True if nothing is published on the block, and agents are admitted to it still.

        Of what another leader withdrew nothing else is known; it is to be closed before anybody else has the block.
        """
        view = self._view
        admission = view.network_policies.get(view.settings.namespace, admission_name(block))
        return not self._gateway.holder(block) and admission is not None and admission.is_ours

    async def _claim(self, block: int, holder: Holder, build: Build) -> Service | None:
        """Return the holder's Service, or None if somebody else has the block."""
        try:
            answer = await self._create(block, build, holder.address)
        except AlreadyExistsError:
            answer = await self._present(block, holder, build)
        self._view.services.store(answer)
        return self._view.port_set_of(holder.key)

    async def _present(self, block: int, holder: Holder, build: Build) -> Raw:
        """Return the Service of a block that the caches show as free.

        A predecessor made it a moment ago, maybe for this holder; or somebody took its labels, which it gets back.
        """
        raw = await self._kube.get(self._path(block_name(block)))
        found = observe_service(raw)
        if found.holder or not holder.service or holder.service != found.meta.name:
            return raw
        return await replace(self._path(), build(block, ""), found.meta, self._kube)

    async def _create(self, block: int, build: Build, address: str) -> Raw:
        """Create the Service, at the address that it had before if that can be: pods have it as their name server."""
        try:
            return await self._kube.create(self._path(), build(block, address))
        except InvalidError:
            if not address:
                raise
            return await self._create(block, build, "")

    def _stored(self, holder: Holder) -> Service:
        found = self._view.port_set_of(holder.key)
        if found is None:
            raise ConflictError("the Service of the port set was deleted while it was being written")
        return found
