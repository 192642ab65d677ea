import asyncio

import msgspec
import pytest
import structlog

from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.audit.verification import Verification
from ringfence_sidecar.errors import UnavailableError
from tests.sidecar.audit.records import record
from tests.sidecar.plugin.bed import Lines

WHO = Who(pod="alice-0")


class Away:
    """An exporter that fails so many times."""

    name = "away"

    def __init__(self, times: int) -> None:
        self.times = times
        self.lines: list[bytes] = []

    async def export(self, lines: list[bytes]) -> None:
        if self.times:
            self.times -= 1
            raise OSError("connection refused")
        self.lines += lines

    async def close(self) -> None:
        pass


async def call(trail: Trail, name: str = "r") -> None:
    place = await trail.reserve()
    place.write(record(request_id=name))


def whole(lines: list[bytes]) -> bool:
    """Whether the lines are a chain that begins and ends."""
    verification = Verification()
    verification.read(lines)
    return all(found.ended for found in verification.chains.values())


async def test_the_lines_of_a_process_are_one_chain_from_start_to_end() -> None:
    lines = Lines()
    trail = Trail([lines], WHO)

    trail.start()
    await asyncio.gather(*(call(trail) for _ in range(100)))
    await trail.close()

    assert len(lines.lines) == 102
    assert whole(lines.lines)


async def test_each_exporter_has_each_line_in_order_even_if_it_was_away() -> None:
    away, lines = Away(2), Lines()
    trail = Trail([away, lines], WHO)

    trail.start()
    await asyncio.gather(*(call(trail) for _ in range(10)))
    await trail.close()

    assert away.lines == lines.lines
    assert whole(away.lines)


async def test_one_exporter_that_is_away_keeps_no_line_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_sidecar.audit.trail.FLUSH_SECONDS", 0.05)
    lines, away = Lines(), Away(1_000_000)
    trail = Trail([away, lines], WHO)
    trail.start()
    for _ in range(20):
        await call(trail)

    arrived = await lines.calls(20)
    queued = trail.queued
    with structlog.testing.capture_logs() as logs:
        await trail.close()

    assert len(arrived) == 20
    assert queued == 21
    assert whole(lines.lines)
    assert away.lines == []
    lost = {"event": "audit lines lost", "exporter": "away", "lines": 22, "log_level": "error"}
    assert lost in logs


async def test_writing_never_waits_and_a_full_queue_refuses_the_next_call() -> None:
    lines = Lines()
    lines.open.clear()
    trail = Trail([lines], WHO, capacity=5, patience=0.02)
    trail.start()
    for _ in range(4):
        await call(trail)

    with pytest.raises(UnavailableError) as raised:
        await trail.reserve()

    assert raised.value.reason == "AuditUnavailable"
    assert (trail.queued, trail.refused) == (5, 1)
    lines.open.set()
    await trail.close()


async def test_who_waits_for_room_is_let_in_in_order_once_lines_are_exported() -> None:
    lines = Lines()
    lines.open.clear()
    trail = Trail([lines], WHO, capacity=2, patience=5)
    trail.start()
    await call(trail, "first")
    waiting = [asyncio.create_task(call(trail, name)) for name in ("second", "third")]
    await asyncio.sleep(0)

    lines.open.set()
    await asyncio.gather(*waiting)
    await trail.close()

    names = [msgspec.json.decode(line).get("requestId") for line in lines.lines]
    assert names == [None, "first", "second", "third", None]


async def test_how_many_calls_were_refused_is_part_of_the_chain() -> None:
    lines = Lines()
    lines.open.clear()
    trail = Trail([lines], WHO, capacity=1, patience=0.001)
    trail.start()
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await trail.reserve()

    lines.open.set()
    async with asyncio.timeout(5):
        place = await trail.reserve()
    place.write(record())
    await trail.close()

    [said] = [line for line in map(msgspec.json.decode, lines.lines) if line["event"] == "unaudited"]
    assert said["refusedCalls"] == 3
    assert whole(lines.lines)


async def test_closing_waits_for_exporters_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_sidecar.audit.trail.FLUSH_SECONDS", 0.05)
    lines = Lines()
    lines.open.clear()
    trail = Trail([lines], WHO)
    trail.start()
    await call(trail)

    async with asyncio.timeout(5):
        await trail.close()

    assert lines.lines == []


async def test_each_process_names_its_own_chain() -> None:
    both = Lines()
    for _ in range(2):
        trail = Trail([both], WHO)
        trail.start()
        await trail.close()

    chains = {msgspec.json.decode(line)["chain"] for line in both.lines}
    assert len(chains) == 2
    assert whole(both.lines)
