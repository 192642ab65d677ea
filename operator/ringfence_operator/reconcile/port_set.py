"""A policy's port set: allocated, kept as it should be, published to the gateway, and given back."""

from collections.abc import Awaitable, Callable
from dataclasses import replace as replace_field
from functools import partial
from typing import Any

from ringfence_operator.api.network import NetworkMode
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.reconcile.block_use import awaited_blocks, is_reached
from ringfence_operator.reconcile.blocks import Blocks, Holder, PortSetsFullError
from ringfence_operator.reconcile.gateway import Gateway
from ringfence_operator.reconcile.meters import is_metered
from ringfence_operator.reconcile.ports import Kube
from ringfence_operator.reconcile.view import View, block_of
from ringfence_operator.resources.domains import allowed_domains, blocked_domains, further_ports, on_ports
from ringfence_operator.resources.gateway import build_port_set_service, further_offsets
from ringfence_operator.resources.observed import Service, digest
from ringfence_operator.resources.port_set import PortSet, block_name

__all__ = ["RELEASE_SECONDS", "PortSets", "PortSetsFullError"]

RELEASE_SECONDS = 5.0
"""How soon it is looked again whether a block that is to be given back is still in use."""


class PortSets:
    """The policies' port sets; `blocks` are shared with whoever else has some."""

    def __init__(self, view: View, kube: Kube, gateway: Gateway) -> None:
        self._view = view
        self.gateway = gateway
        self.blocks = Blocks(view, kube, gateway)

    async def keep(self, policy: SecurityPolicy, dismiss: Callable[[int], Awaitable[None]] | None = None) -> list[int]:
        """Have the policy's port set as it should be, publish it, and return the ports that have no place in it.

        Those stay closed, and all else is published: what the policy no longer allows must not stay open for a mistake.
        `dismiss` closes a block to those who were admitted to it, before it is published for this policy instead: they
        never come to its list. Raises PortSetsFullError.
        """
        network = policy.spec.network
        allowed = allowed_domains(policy) if network.enabled else ()
        ports = further_ports(allowed)
        further = further_offsets(ports, self._view.port_set(policy))
        before = policy.status.gateway
        holder = Holder("/".join(policy.key), before.service if before else "", before.address if before else "")
        service = await self.blocks.keep(holder, partial(self._build, policy, further))
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
            is_metered=is_metered(
                policy.metadata.namespace, self._view, is_cluster=self._view.is_cluster_policy(policy)
            ),
        )
        found = replace_field(found, version=digest(found.to_wire()))
        if dismiss is not None and self.gateway.holder(found.block) not in ("", found.policy):
            await dismiss(found.block)
        self.gateway.publish(found, generation=policy.metadata.generation)
        return [port for port in ports if port not in further]

    async def release(self, service: Service) -> float | None:
        """Give a block back whose policy is gone: closed first, free once nothing can reach it any more.

        Returns the seconds after which to look again.
        """
        block, view = block_of(service), self._view
        self.gateway.withdraw(block)
        if is_reached(service.policy, service.address, view) or not self.gateway.is_released(
            block, view.serving_replicas()
        ):
            return RELEASE_SECONDS
        await self.blocks.free(service)
        return None

    def forget(self, block: int) -> float | None:
        """Close a block whose Service somebody deleted, unless its policy is about to have it again.

        Returns the seconds after which to look again.
        """
        holder = self.gateway.holder(block)
        policy = self._view.policies.get(*holder.split("/", 1)) if holder else None
        if policy is not None and self._view.port_set(policy) is None:
            return RELEASE_SECONDS
        if not holder and block_name(block) in awaited_blocks(self._view):
            return RELEASE_SECONDS  # a new leader has not published it yet
        self.gateway.withdraw(block)
        return None

    def _build(self, policy: SecurityPolicy, further: dict[int, int], block: int, address: str) -> dict[str, Any]:
        namespace = self._view.settings.namespace
        return build_port_set_service(block, policy.key, namespace=namespace, further=further, address=address)
