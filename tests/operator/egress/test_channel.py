"""The whole channel: the operator's feed, the real control process, and the sidecar's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.control.process import ControlProcess, Place
from ringfence_operator.control.sidecars import STRANGER_SECONDS
from ringfence_operator.egress.feed import Feed
from ringfence_sidecar.configuration import Configuration, EndpointHealth
from ringfence_sidecar.control import ControlClient
from tests.backends.waiting import eventually
from tests.operator.control.authority import Authority
from tests.operator.control.sidecar_side import HERE, NAMES, POD, configuration, token
from tests.ports import free_port


@dataclass(slots=True)
class Channel:
    place: Place
    authority: Authority
    feed: Feed
    changed: list[tuple[str, str]] = field(default_factory=list)
    """Connectors of which a sidecar reported something."""
    asked: list[str] = field(default_factory=list)
    """Tokens that the API server would have been asked about."""
    control: ControlProcess | None = None

    async def start(self) -> None:
        self.control = ControlProcess(self.place)
        await self.control.start()

    async def stop(self) -> None:
        if self.control is not None:
            await self.control.stop()

    def publish(self, **more: Any) -> None:
        self.feed.sidecars.publish(POD, HERE, configuration(**more))


@asynccontextmanager
async def channel(folder: Path) -> AsyncIterator[Channel]:
    place = Place(socket=folder / "control.sock", port=free_port(), host=HERE, sidecar_port=free_port())
    authority = Authority()
    pair = authority.issue(*NAMES)

    async def review(bearer: str) -> str | None:
        made.asked.append(bearer)
        return POD

    def heard(key: tuple[str, str]) -> None:
        made.changed.append(key)

    feed = Feed(str(place.socket), on_change=_nothing, on_seen=_nothing, on_health=heard, review=review)
    made = Channel(place, authority, feed)
    feed.identify(authority=authority.pem, certificate=pair.certificate, key=pair.key)
    feed.configure({"reserved": [], "resolvers": [], "upstreamProxy": None})
    feed.vouch(None)
    feed.complete()
    await made.start()
    running = asyncio.create_task(feed.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=5)
        await made.stop()


@asynccontextmanager
async def sidecar(
    at: Channel, folder: Path, health: Callable[[], tuple[EndpointHealth, ...]] = tuple
) -> AsyncIterator[ControlClient]:
    (folder / "token").write_text(token())
    (folder / "ca.crt").write_text(at.authority.pem)
    client = ControlClient(
        f"https://{HERE}:{at.place.sidecar_port}",
        token=folder / "token",
        authority=folder / "ca.crt",
        on_change=_changed,
        health=health,
        cache_reachable=lambda: False,
    )
    running = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=5)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Channel]:
    async with channel(tmp_path) as found:
        yield found


async def test_what_a_pass_publishes_is_in_force_in_the_sidecar(at: Channel, tmp_path: Path) -> None:
    at.publish()
    async with sidecar(at, tmp_path) as client:
        await eventually(lambda: _version(client) == "v1", what="the first is there")

        at.publish(version="v2", connectors={"c": 1})

        await eventually(lambda: _version(client) == "v2", what="the second is there", seconds=1)
    assert len(at.asked) == 1


async def test_what_the_sidecar_sees_reaches_the_connectors_status(at: Channel, tmp_path: Path) -> None:
    at.publish(connectors={"c": 1})
    lost = EndpointHealth(connector="c", generation=1, endpoint="e", healthy=False, reason="Lost", message="gone")

    async with sidecar(at, tmp_path, lambda: (lost,)):
        await eventually(lambda: ("team", "c") in at.changed, what="the connector is looked at")

    found = at.feed.sidecars.health(("team", "c"), 1)
    assert (found.endpoints["e"].unhealthy, found.endpoints["e"].reason, found.cache_reachable) == (1, "Lost", False)


async def test_a_control_process_that_comes_back_serves_what_was_published_before(at: Channel, tmp_path: Path) -> None:
    at.publish()
    async with sidecar(at, tmp_path) as client:
        await eventually(lambda: _version(client) == "v1", what="the first is there")

        await at.stop()
        at.publish(version="v2")
        await at.start()

        await eventually(lambda: _version(client) == "v2", what="the second is there", seconds=20)


async def test_a_pod_that_is_withdrawn_keeps_what_it_has_and_is_told_nothing_more(at: Channel, tmp_path: Path) -> None:
    at.publish()
    async with sidecar(at, tmp_path) as client:
        await eventually(lambda: _version(client) == "v1", what="the first is there")

        at.feed.sidecars.withdraw(POD)

        # A poll that comes after that waits first, since a new pod's may come before it is known.
        await eventually(lambda: not client.is_connected, what="it is refused", seconds=2 * STRANGER_SECONDS)
        assert _version(client) == "v1"


def _version(client: ControlClient) -> str:
    return client.current.version if client.current else ""


async def _changed(_: Configuration) -> None:
    return None


def _nothing(_: str) -> None:
    return None
