import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ringfence_operator.egress.feed import Feed
from ringfence_operator.reconcile.gateway import Force
from tests.operator.egress.test_ledger import P, port_set

Message = dict[str, Any]
BOUND = 5.0


class Control:
    """A control process of which nothing is real but its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._connected: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._take, self._path)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await self._connected.put((reader, writer))

    async def accept(self) -> None:
        self.reader, self.writer = await asyncio.wait_for(self._connected.get(), BOUND)

    async def hear(self, count: int) -> list[Message]:
        lines = [await asyncio.wait_for(self.reader.readline(), BOUND) for _ in range(count)]
        return [orjson.loads(line) for line in lines]

    async def kinds(self, count: int) -> list[str]:
        return [each["kind"] for each in await self.hear(count)]

    def say(self, kind: str, **fields: Any) -> None:
        self.writer.write(orjson.dumps({"kind": kind, "replica": "g1", **fields}) + b"\n")

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        if self._server:
            self._server.close()


class Ends:
    """Both ends of the socket."""

    def __init__(self, path: Path) -> None:
        self.control = Control(path)
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.feed = Feed(str(path), on_change=self.told.put_nowait, on_seen=self.told.put_nowait)
        self._running: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._running = asyncio.create_task(self.feed.run())

    def configure(self) -> None:
        self.feed.identify(authority="ca", certificate="crt", key="key")
        self.feed.configure({"reserved": []})

    async def changed(self) -> str:
        return await asyncio.wait_for(self.told.get(), BOUND)

    async def close(self) -> None:
        if self._running:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=BOUND)
        await self.control.close()


@pytest.fixture
async def ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr("ringfence_operator.egress.feed._RETRY_SECONDS", 0.01)
    found = Ends(tmp_path / "s")
    yield found
    await found.close()


async def test_what_was_said_before_the_control_process_is_there_is_said_to_it_then(ends: Ends) -> None:
    ends.configure()
    ends.feed.publish(port_set(), generation=1)
    ends.feed.complete()
    ends.run()

    await ends.control.start()
    await ends.control.accept()

    said = await ends.control.hear(4)
    assert [each["kind"] for each in said] == ["identity", "settings", "portSet", "synced"]
    assert said[0] == {"kind": "identity", "authority": "ca", "certificate": "crt", "key": "key"}
    assert said[2] == {"kind": "portSet", **port_set().to_wire()}


async def test_changes_are_said_at_once_and_what_is_the_same_is_not(ends: Ends) -> None:
    await ends.control.start()
    ends.run()
    await ends.control.accept()

    for _ in range(2):
        ends.configure()
        ends.feed.publish(port_set(), generation=1)
        ends.feed.complete()
    ends.feed.withdraw(3)
    ends.feed.withdraw(3)
    ends.feed.publish(port_set("v2"), generation=2)

    expected = ["identity", "settings", "portSet", "synced", "withdraw", "portSet"]
    assert await ends.control.kinds(6) == expected


@pytest.mark.parametrize("first", ["complete", "configure"])
async def test_gateways_are_not_served_before_identity_settings_and_the_whole_picture(ends: Ends, first: str) -> None:
    await ends.control.start()
    ends.run()
    await ends.control.accept()

    for step in (ends.feed.complete, ends.configure) if first == "complete" else (ends.configure, ends.feed.complete):
        step()

    assert await ends.control.kinds(3) == ["identity", "settings", "synced"]


async def test_the_next_control_process_is_told_everything_again(ends: Ends) -> None:
    await ends.control.start()
    ends.run()
    await ends.control.accept()
    ends.configure()
    ends.feed.publish(port_set(), generation=1)
    ends.feed.publish(port_set(block=4, policy="team/q"), generation=1)
    ends.feed.withdraw(4)
    ends.feed.complete()
    await ends.control.kinds(6)

    ends.control.writer.close()
    await ends.control.accept()

    assert await ends.control.kinds(5) == ["identity", "settings", "portSet", "withdraw", "synced"]


async def test_answers_reach_the_ledger(ends: Ends) -> None:
    await ends.control.start()
    ends.run()
    await ends.control.accept()
    ends.feed.publish(port_set(), generation=1)

    ends.control.say("joined")
    ends.control.say("inForce", block=3, version="v1")

    assert await ends.changed() == P
    assert ends.feed.standing(P, ["g1"]).force is Force.IN_FORCE


@pytest.mark.parametrize(
    "line", [b"no json\n", b'{"kind": "dance", "replica": "g1"}\n', b"{}\n", b"[]\n", b'{"kind":"seen","replica":1}\n']
)
async def test_nonsense_ends_the_connection_and_not_the_feed(ends: Ends, line: bytes) -> None:
    await ends.control.start()
    ends.run()
    await ends.control.accept()

    ends.control.writer.write(line)
    await ends.control.accept()
    ends.configure()

    assert await ends.control.kinds(2) == ["identity", "settings"]


async def test_a_replica_that_leads_anew_says_nothing_of_its_first_time(ends: Ends) -> None:
    ends.configure()
    ends.feed.publish(port_set(), generation=1)
    ends.feed.complete()

    ends.feed.reset()
    await ends.control.start()
    ends.run()
    await ends.control.accept()
    ends.feed.publish(port_set("v2"), generation=2)

    said = await ends.control.hear(1)
    assert (said[0]["kind"], said[0]["version"]) == ("portSet", "v2")


async def test_what_is_used_is_told_of_the_agent_whose_pod_is_asked_about(ends: Ends) -> None:
    ends.feed.limit_standing = lambda agent: {"used": ["/".join(agent)]}
    ends.feed.sidecars.publish("p-1", "10.0.0.1", {"agent": {"namespace": "team", "name": "a"}, "version": "1"})
    await ends.control.start()
    ends.run()
    await ends.control.accept()
    await ends.control.hear(1)

    ends.control.say("standingAsked", id=1, uid="p-1")
    ends.control.say("standingAsked", id=2, uid="p-2")

    found = await ends.control.hear(2)
    assert [(each["kind"], each["id"], each["standing"]) for each in found] == [
        ("standing", 1, {"used": ["team/a"]}),
        ("standing", 2, None),
    ]
