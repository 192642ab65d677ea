"""The whole channel: the operator's feed, the real control process, and the sidecar's own client."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from ringfence_operator.control.process import ControlProcess, Place
from ringfence_operator.control.sidecars import STRANGER_SECONDS
from ringfence_operator.egress.feed import Feed
from ringfence_operator.reconcile.starters import Heard
from ringfence_sidecar.configuration import Configuration, EndpointHealth
from ringfence_sidecar.control import ControlClient
from tests.backends.waiting import eventually
from tests.operator.control.authority import Authority
from tests.operator.control.sidecar_side import HERE, NAMES, POD, Line, Reply, configuration, token
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
    looked_at: list[tuple[str, str]] = field(default_factory=list)
    """Agents of whose pods there is news."""
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

    def inside(key: tuple[str, str]) -> None:
        made.looked_at.append(key)

    feed = Feed(
        str(place.socket), on_change=_nothing, on_seen=_nothing, on_health=heard, on_inside=inside, review=review
    )
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
        cache_evicts=lambda: "allkeys-lru",
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
    assert (found.endpoints["e"].unhealthy, found.endpoints["e"].reason) == (1, "Lost")
    assert (found.cache_reachable, found.cache_evicts) == (False, "allkeys-lru")


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


async def poll_as_starter(at: Channel, **body: Any) -> Reply:
    """Poll as the starter of the pod does, on a connection of its own."""
    context = ssl.create_default_context(cadata=at.authority.pem)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            HERE, at.place.sidecar_port, ssl=context, server_hostname="ringfence-control"
        )
        line = Line(reader, writer)
        line.begin(token(), path="/v1/starter/poll", **body)
        reply = await line.hear()
        writer.close()
    return reply


async def listening(at: Channel) -> None:
    async def try_once() -> bool:
        try:
            _, writer = await asyncio.open_connection(HERE, at.place.sidecar_port)
        except OSError:
            return False
        writer.close()
        return True

    for _ in range(500):
        if await try_once():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody listens")


async def test_a_starter_is_told_what_its_agent_runs_and_what_it_says_reaches_the_agents_pass(at: Channel) -> None:
    order = {"version": "o1", "agent": {"namespace": "team", "name": "a", "uid": "a-uid"}, "command": ["run"]}
    at.feed.starters.admit(POD, HERE)
    await listening(at)
    waiting = asyncio.create_task(poll_as_starter(at, version=""))
    await eventually(lambda: at.feed.starters.heard(POD) is not None, what="it asks")

    at.feed.starters.order(POD, HERE, ("team", "a"), order)
    reply = await waiting
    await poll_as_starter(at, version="o1", agentUid="a-uid", started=True, waitSeconds=0)
    await eventually(lambda: at.feed.starters.heard(POD) == Heard(agent_uid="a-uid", started=True), what="it started")

    assert (reply.status, orjson.loads(reply.body)) == (200, order)
    assert at.looked_at == [("team", "a")]


@pytest.mark.parametrize(
    ("end", "status", "body"), [("admit", 200, b'{"version":"none","agent":null}'), ("gone", 503, None)]
)
async def test_a_starter_that_holds_an_order_hears_at_once_that_the_operator_takes_it_back(
    at: Channel, end: str, status: int, body: bytes | None
) -> None:
    at.feed.starters.order(POD, HERE, ("team", "a"), {"version": "o1"})
    await listening(at)
    waiting = asyncio.create_task(poll_as_starter(at, version="o1"))
    await eventually(lambda: at.feed.starters.heard(POD) is not None, what="it waits")

    if end == "admit":
        at.feed.starters.admit(POD, HERE, ("team", "a"))
    else:
        at.feed.starters.withdraw(POD)
    reply = await waiting

    assert reply.status == status
    assert body is None or reply.body == body


async def test_a_control_process_that_comes_back_knows_what_starters_are_to_be_told(at: Channel) -> None:
    at.feed.starters.order(POD, HERE, ("team", "a"), {"version": "o1"})
    await listening(at)

    await at.stop()
    await at.start()
    await listening(at)

    assert (await poll_as_starter(at, version="")).status == 200
