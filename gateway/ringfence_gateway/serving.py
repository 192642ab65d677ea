"""What this process serves at the moment: takes resources from the subscription, and opens and closes responders."""

import asyncio
from collections.abc import Callable

import structlog

from ringfence_gateway.port_set import PortSet, Settings, block_name, block_of, first_port
from ringfence_gateway.record import Record
from ringfence_gateway.responder import Responder, Zone

_log = structlog.get_logger()


class Serving:
    """The port sets in force, by block. Refusing one leaves what was there before, and all others, as they are."""

    def __init__(self, record: Record, *, first_port: Callable[[int], int] = first_port) -> None:
        self.settings = Settings()
        self.settled = asyncio.Event()
        """Set once the settings are known."""
        self.port_sets: dict[int, PortSet] = {}
        self.on_settings: Callable[[Settings], None] = lambda _: None
        self._responders: dict[int, Responder] = {}
        self._record = record
        self._first_port = first_port

    def put_port_set(self, name: str, value: bytes) -> None:
        """Serve a port set, or its new content. Raises ValueError or OSError."""
        port_set = PortSet.from_json(value)
        block = port_set.block
        if block_name(block) != name:
            raise ValueError(f"block {block} is in the resource {name}")
        zone = self._zone(port_set)
        responder = self._responders.get(block)
        if responder is None:
            responder = Responder(zone, block=block, observer=self._record)
            responder.open(self._first_port(block))
            self._responders[block] = responder
            _log.info("port set opened", block=block, policy=port_set.policy)
        responder.zone = zone
        self.port_sets[block] = port_set
        self._record.serve(block, port_set.policy)

    def remove_port_set(self, name: str) -> None:
        """Serve it no longer; nothing happens if it is not served."""
        block = block_of(name)
        if block is None or block not in self._responders:
            return
        self._responders.pop(block).close()
        port_set = self.port_sets.pop(block)
        self._record.forget(block)
        _log.info("port set closed", block=block, policy=port_set.policy)

    def put_settings(self, _: str, value: bytes) -> None:
        """Take new settings. Raises ValueError."""
        self.settings = Settings.from_json(value)
        for block, port_set in self.port_sets.items():
            self._responders[block].zone = self._zone(port_set)
        self.on_settings(self.settings)
        self.settled.set()
        _log.info("settings taken", resolvers=self.settings.resolvers, reserved=len(self.settings.reserved))

    def remove_settings(self, _: str) -> None:
        """Keep them: without settings there is less that is refused."""

    def close(self) -> None:
        """Stop serving all of them."""
        for responder in self._responders.values():
            responder.close()
        self._responders.clear()

    def _zone(self, port_set: PortSet) -> Zone:
        return Zone(port_set, self._record, cluster_domain=self.settings.cluster_domain)
