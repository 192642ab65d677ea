"""The control process's parts, put together: what the operator says is served, what gateways say goes back."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from ringfence_operator.control.envoy import build_resources, build_shared
from ringfence_operator.control.feed import Feed, Message
from ringfence_operator.control.fleet import Fleet
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.control.resource import METER, METER_PAST, Key, resource_of
from ringfence_operator.control.server import ControlServer, Identity
from ringfence_operator.control.sidecars import Sidecars
from ringfence_operator.control.store import Store
from ringfence_operator.resources.port_set import PortSet

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the control process listens: for the operator, for gateways, and for sidecars, unless that is None."""

    socket: Path
    port: int
    host: str = "[::]"
    sidecar_port: int | None = None


class ControlProcess:
    """Holds nothing but what the operator has said, and serves only while one is connected that has said all."""

    def __init__(
        self,
        place: Place,
        *,
        wiring: Wiring | None = None,
        on_sent: Callable[[int], None] = lambda _: None,
        on_answer: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._place = place
        self._wiring = wiring or Wiring()
        self._on_sent = on_sent
        self._on_answer = on_answer
        self._feed = Feed(self._hear, self._forget)
        self._forget_all()

    async def start(self) -> None:
        """Wait for the operator."""
        await self._feed.start(self._place.socket)

    async def stop(self) -> None:
        """Let go of gateways and operator."""
        await self._feed.stop()

    @property
    def gateways(self) -> int:
        """The number of gateway pods of which both nodes are connected."""
        return len(self._fleet)

    @property
    def sidecar_connections(self) -> int:
        """The number of connections that sidecars, or who says to be one, have open."""
        return self._sidecars.connections

    @property
    def port(self) -> int | None:
        """The port on which gateways are served, if they are."""
        return self._port

    def _forget_all(self) -> None:
        self._store = Store()
        self._fleet = Fleet(self._store, tell=self._feed.tell)
        self._server = ControlServer(self._fleet, on_report=self._feed.tell, on_sent=self._on_sent)
        self._sidecars = Sidecars(tell=self._feed.tell, observe=self._on_answer)
        self._settings: GatewaySettings | None = None
        self._port_sets: dict[int, PortSet] = {}
        self._port: int | None = None

    async def _forget(self) -> None:
        await self._server.stop()
        await self._sidecars.stop()
        self._forget_all()

    async def _hear(self, message: Message) -> None:
        match message["kind"]:
            case "identity":
                identity = Identity(message["authority"], message["certificate"], message["key"])
                self._server.identify(identity)
                self._sidecars.identify(identity)
            case "settings":
                await self._configure(GatewaySettings.from_wire(message))
            case "portSet":
                self._put(message)
            case "withdraw":
                block = int(message["block"])
                self._port_sets.pop(block, None)
                self._fleet.changed(self._store.withdraw(block), [block])
            case "sidecar" | "sidecarGone" | "starter" | "starterGone" | "reviewed" | "standing" | "issuer":
                self._sidecars.hear(message)
            case "meter" | "meterPast":
                self._hold(message)
            case "meterGone" | "meterPastGone":
                self._fleet.changed(self._store.drop(_metering_key(message)), ())
            case "synced":
                await self._serve()
            case other:
                # A newer operator says more than this control process knows of.
                log.warning("feed.unknown_kind", what=other)

    async def _serve(self) -> None:
        if self._port is not None:
            return
        self._port = await self._server.start(self._place.port, host=self._place.host)
        if self._place.sidecar_port is not None:
            await self._sidecars.start(self._place.sidecar_port, host=self._place.host.strip("[]"))

    def _hold(self, message: Message) -> None:
        wire = {name: value for name, value in message.items() if name != "kind"}
        body = orjson.dumps(wire, option=orjson.OPT_SORT_KEYS)
        self._fleet.changed(self._store.hold(resource_of(*_metering_key(message), body)), ())

    async def _configure(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._fleet.changed(self._store.replace(None, build_shared(settings)), ())
        for port_set in self._port_sets.values():
            self._build(port_set, settings)
            await asyncio.sleep(0)

    def _put(self, wire: dict[str, Any]) -> None:
        if self._settings is None:
            raise ValueError("settings come before the first port set")
        block, version = int(wire["block"]), str(wire["version"])
        try:
            port_set = PortSet.from_wire(wire)
            self._build(port_set, self._settings)
        except (KeyError, TypeError, ValueError) as error:
            # One policy's port set must not keep the others' from being served.
            log.exception("port_set.not_understood", block=block, version=version)
            self._store.refuse(block, version, f"the control process cannot serve it: {error!r}")
            self._fleet.changed((), [block])
            return
        self._port_sets[block] = port_set

    def _build(self, port_set: PortSet, settings: GatewaySettings) -> None:
        resources = build_resources(port_set, settings, self._wiring)
        keys = self._store.put(port_set.block, port_set.version, resources)
        log.debug("port_set.built", block=port_set.block, version=port_set.version, different=len(keys))
        self._fleet.changed(keys, [port_set.block])


def _metering_key(message: Message) -> Key:
    """Return what a meter is told of one pod, or what meters that are gone had counted of one agent."""
    is_past = str(message["kind"]).startswith("meterPast")
    return (METER_PAST, str(message["agent"])) if is_past else (METER, str(message["uid"]))
