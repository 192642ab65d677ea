"""The sidecar's end of the control channel, with the operator's real control process at the other."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ringfence_sidecar import control
from ringfence_sidecar.configuration import Configuration, EndpointHealth, Inside, LimitUse, Standing, Used
from ringfence_sidecar.control import ControlClient
from tests.operator.control.sidecar_side import HERE, NAMES, POD, Door, door, token

BOUND = 15.0


@dataclass(slots=True)
class End:
    """A client that runs, and what it was configured with."""

    client: ControlClient
    token: Path
    authority: Path
    health: list[EndpointHealth] = field(default_factory=list)
    inside: Inside | None = None
    uses: list[LimitUse] = field(default_factory=list)
    configured: asyncio.Queue[tuple[float, Configuration]] = field(default_factory=asyncio.Queue)
    running: asyncio.Task[None] | None = None

    async def next(self) -> tuple[float, Configuration]:
        """Return when the next configuration was there, and which."""
        async with asyncio.timeout(BOUND):
            return await self.configured.get()

    async def has_none(self, seconds: float) -> bool:
        """Return True if no configuration comes within that time."""
        try:
            await asyncio.wait_for(self.configured.get(), seconds)
        except TimeoutError:
            return True
        return False

    async def away(self) -> None:
        async with asyncio.timeout(BOUND):
            while self.client.is_connected:  # noqa: ASYNC110 - the client tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def end(at: Door, folder: Path, *, runs: bool = True, warm: bool = False) -> AsyncIterator[End]:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - before anything runs
    (folder / "token").write_text(token())
    (folder / "ca.crt").write_text(at.authority.pem)
    found: End

    async def changed(configuration: Configuration) -> None:
        found.configured.put_nowait((time.monotonic(), configuration))

    client = ControlClient(
        f"https://{HERE}:{at.port}",
        token=folder / "token",
        authority=folder / "ca.crt",
        on_change=changed,
        health=lambda: tuple(found.health),
        inside=lambda: found.inside,
        uses=lambda: tuple(found.uses),
        sidecar_version="1.2.3",
        warm=warm,
    )
    found = End(client, folder / "token", folder / "ca.crt")
    if runs:
        found.running = asyncio.create_task(client.run())
    try:
        yield found
    finally:
        if found.running is not None:
            found.running.cancel()
            await asyncio.wait([found.running], timeout=BOUND)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Door]:
    async with door(tmp_path) as found:
        yield found


async def test_a_sidecar_has_its_configuration_and_every_change_within_a_second(at: Door, tmp_path: Path) -> None:
    at.publish(connectors={"c": 1})
    async with end(at, tmp_path / "end") as sidecar:
        _, first = await sidecar.next()
        await at.seen(version="v1")

        begin = time.monotonic()
        at.publish(version="v2", connectors={"c": 2})
        there, second = await sidecar.next()

        assert (first.version, second.version) == ("v1", "v2")
        assert sidecar.client.current == second
        assert there - begin < 1


async def test_one_that_waits_for_an_agent_knows_at_once_that_it_is_let_in_and_has_the_agents_at_once(
    at: Door, tmp_path: Path
) -> None:
    at.operator.say("sidecar", uid=POD, address=HERE, configuration=None)
    async with end(at, tmp_path / "end", warm=True) as sidecar:
        async with asyncio.timeout(2):
            while not sidecar.client.was_answered:  # noqa: ASYNC110 - the client tells nobody
                await asyncio.sleep(0.01)
        before = sidecar.client.current

        begin = time.monotonic()
        at.publish()
        there, first = await sidecar.next()

    assert before is None
    assert first.agent.name == "a"
    assert there - begin < 1


async def test_one_that_starts_before_its_pod_is_known_waits_for_it(at: Door, tmp_path: Path) -> None:
    async with end(at, tmp_path / "end") as sidecar:
        at.publish(pod="another", address="127.0.0.9")

        at.publish()

        assert (await sidecar.next())[1].version == "v1"


async def test_what_is_there_stays_while_the_operator_is_away_and_the_next_one_is_followed(
    at: Door, tmp_path: Path
) -> None:
    at.publish()
    async with end(at, tmp_path / "end") as sidecar:
        await sidecar.next()
        at.operator.close()
        await sidecar.away()
        kept = sidecar.client.current

        async with door(tmp_path / "second", port=at.port, authority=at.authority) as second:
            second.publish(version="v2")
            _, found = await sidecar.next()

    assert kept is not None
    assert (kept.version, found.version) == ("v1", "v2")


async def test_a_server_of_another_authority_is_told_nothing(at: Door, tmp_path: Path) -> None:
    at.publish()
    async with end(at, tmp_path / "end", runs=False) as sidecar:
        async with door(tmp_path / "second") as second:
            sidecar.authority.write_text(second.authority.pem)
            sidecar.running = asyncio.create_task(sidecar.client.run())

            assert await sidecar.has_none(1)

        assert at.reviews == []
        sidecar.authority.write_text(at.authority.pem)
        assert (await sidecar.next())[1].version == "v1"


async def test_a_server_whose_certificate_has_another_name_is_told_nothing(at: Door, tmp_path: Path) -> None:
    at.publish()
    at.operator.identify(at.authority, NAMES[0])
    await at.until_unknown()
    async with end(at, tmp_path / "end") as sidecar:
        assert await sidecar.has_none(1)
        assert at.reviews == []

        at.operator.identify(at.authority, *NAMES)

        assert (await sidecar.next())[1].version == "v1"


async def test_a_token_that_was_refused_is_not_tried_again_and_the_next_one_is(at: Door, tmp_path: Path) -> None:
    fresh = token(jti="fresh")
    at.publish()
    at.vouch = lambda bearer: POD if bearer == fresh else ""
    async with end(at, tmp_path / "end") as sidecar:
        assert await sidecar.has_none(2)
        refused = list(at.reviews)

        sidecar.token.write_text(fresh)

        assert (await sidecar.next())[1].version == "v1"
        assert len(refused) == 1


async def test_health_that_changes_is_told_before_the_poll_under_way_is_over(at: Door, tmp_path: Path) -> None:
    at.publish(connectors={"c": 1})
    async with end(at, tmp_path / "end") as sidecar:
        await sidecar.next()
        await at.seen(version="v1")

        lost = EndpointHealth(connector="c", generation=1, endpoint="e", healthy=False, reason="Lost")
        sidecar.health.append(lost)
        report = await at.seen(sidecarVersion="1.2.3", version="v1")

        found = [(each["endpoint"], each["healthy"], each["reason"]) for each in report["health"]]
        assert found == [("e", False, "Lost")]


async def test_how_the_pod_finds_its_network_is_told_at_once_when_it_is_in_a_hurry(at: Door, tmp_path: Path) -> None:
    at.publish(connectors={"c": 1})
    async with end(at, tmp_path / "end") as sidecar:
        await sidecar.next()
        await at.seen(version="v1")

        sidecar.inside = Inside(closed=True, way_out=True)
        sidecar.client.hurry()
        report = await at.seen(sidecarVersion="1.2.3", version="v1")

    assert report["inside"] == {"closed": True, "wayOut": True}


async def test_what_was_used_of_limits_is_told_before_the_poll_under_way_is_over(
    at: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "USES_SECONDS", 0.1)
    at.publish(connectors={"c": 1})
    async with end(at, tmp_path / "end") as sidecar:
        await sidecar.next()
        await at.seen(version="v1")

        use = LimitUse(quota_uid="q-1", resource="queries", window="Hour", shared=False, used=3, refusals=1)
        sidecar.uses.append(use)
        async with asyncio.timeout(BOUND):
            while not (report := await at.seen(version="v1"))["uses"]:
                pass

        [found] = report["uses"]
        assert (found["quotaUid"], found["resource"], found["used"], found["refusals"]) == ("q-1", "queries", 3, 1)


async def test_what_cannot_be_decoded_leaves_what_is_there_and_shows_no_secret(
    at: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at.publish()
    async with end(at, tmp_path / "end") as sidecar:
        await sidecar.next()
        at.publish(version="v2", redis={"url": 7, "password": "hidden"})
        assert await sidecar.has_none(1)
        kept = sidecar.client.current

        at.publish(version="v3")

        assert (await sidecar.next())[1].version == "v3"
        assert kept is not None
        assert kept.version == "v1"
    assert "hidden" not in "".join(capsys.readouterr())


async def test_replicas_that_do_not_serve_are_passed_over_at_once(
    at: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.publish()
    refused = iter([True] * 4)
    real = asyncio.open_connection

    async def sometimes(*args: object, **more: object) -> object:
        if next(refused, False):
            raise ConnectionRefusedError
        return await real(*args, **more)  # type: ignore[arg-type]

    async with end(at, tmp_path / "end", runs=False) as sidecar:
        monkeypatch.setattr("ringfence_sidecar.https.asyncio.open_connection", sometimes)
        begin = time.monotonic()
        sidecar.running = asyncio.create_task(sidecar.client.run())

        there, _ = await sidecar.next()

        assert there - begin < 1


@pytest.mark.parametrize("url", ["http://10.0.0.1:18443", "https://10.0.0.1", "10.0.0.1:18443"])
def test_an_address_that_is_none_says_what_to_write(url: str, tmp_path: Path) -> None:
    async def nothing(_: Configuration) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="https://ADDRESS:PORT"):
        ControlClient(url, token=tmp_path, authority=tmp_path, on_change=nothing)


def test_delays_grow_to_ten_seconds_and_no_further_and_are_spread() -> None:
    delays = [control._delay(failures) for failures in range(1, 40)]

    assert all(0.2 <= each <= control.LONGEST_DELAY for each in delays)
    assert min(delays[10:]) >= control.LONGEST_DELAY / 2
    assert len(set(delays)) == len(delays)


async def test_what_is_used_of_limits_that_others_keep_is_asked_for(at: Door, tmp_path: Path) -> None:
    row = {"quotaUid": "q", "resource": "memory", "window": "None", "shared": False, "used": 5, "asOf": "2026-11-29"}
    at.publish()
    at.standings[POD] = {"used": [row]}

    async with end(at, tmp_path / "end", runs=False) as sidecar:
        found = await sidecar.client.standing()
        at.standings.clear()
        unknown = await sidecar.client.standing()
        at.operator.close()
        away = await sidecar.client.standing()

    used = Used(quota_uid="q", resource="memory", window="None", shared=False, used=5, as_of="2026-11-29")
    assert (found, unknown, away) == (Standing(used=(used,)), None, None)
