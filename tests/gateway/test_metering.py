import asyncio
import json
from pathlib import Path
from typing import Any

from ringfence_gateway.meter.__main__ import lines_of
from ringfence_gateway.meter.book import MOST_AGENTS, Book
from ringfence_gateway.metering import LONGEST_LINE, Metering
from ringfence_gateway.subscription import NotConnectedError
from ringfence_operator.control.report import metered_of
from tests.gateway.test_meter_book import orders
from tests.gateway.test_meter_past import count

SECONDS = 10
NOW = 1_800_000_000.0


class Operator:
    """Takes reports, or nothing while it is away."""

    def __init__(self) -> None:
        self.is_away = True
        self.tries = 0
        self.taken: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, message: bytes) -> None:
        self.tries += 1
        if self.is_away:
            raise NotConnectedError("no control process serves")
        self.taken.put_nowait(metered_of(message))


async def test_what_is_owed_to_an_operator_that_begins_is_sent_again_until_somebody_takes_it(tmp_path: Path) -> None:
    tried = 0
    taken: asyncio.Queue[Any] = asyncio.Queue()

    async def send(message: bytes) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise NotConnectedError("no control process serves")
        taken.put_nowait(json.loads(message))

    metering = Metering("gateway-0", tmp_path / "meter.sock", send)
    metering.past.put("one", json.dumps({"counts": [count("gateway-9/x", at=4_000_000_000)]}).encode())
    running = asyncio.create_task(metering.run())
    metering.connected()
    async with asyncio.timeout(SECONDS):
        report = await taken.get()
    running.cancel()

    assert (report["meter"], report["isPast"], tried) == ("gateway-9/x", True, 2)


def busy_book(*, seconds: int = 21 * 129_600) -> Book:
    """Return the book of a meter that has counted of an agent in every slot of every window, for so long."""
    book = Book("gateway-0/a")
    book.put(orders("one"))
    for ago in (*range(seconds, 3_780, -43_200), *range(min(seconds, 3_780), 63, -60), *range(63, 0, -3)):
        book.pass_on("pod-one", 1_000_000)
        book.report(now=NOW - ago, is_whole=False)
    return book


def wire_of(book: Book, *, now: float = NOW, is_whole: bool = False) -> list[dict[str, Any]]:
    """Return what the meter says, as it comes out of the pipe."""
    return [each for line in lines_of(book.report(now=now, is_whole=is_whole)) for each in json.loads(line)]


async def test_an_operator_that_was_away_for_long_takes_what_was_counted_meanwhile(tmp_path: Path) -> None:
    operator, book = Operator(), Book("gateway-0/a")
    book.put(orders("one"))
    metering = Metering("gateway-0", tmp_path / "meter.sock", operator.send)
    metering._name = "gateway-0/a"
    for second in range(0, 3_600, 3):
        book.pass_on("pod-one", 1)
        metering._take(wire_of(book, now=NOW + second))

    operator.is_away = False
    await metering._send_all()

    (agent,) = operator.taken.get_nowait()["agents"]
    assert agent["total"] == book.accounts["one"].total
    assert sum(agent["slots"]["Hour"].values()) == 1_200


async def test_what_a_meter_had_counted_that_ended_before_it_was_sent_is_told_in_its_name(tmp_path: Path) -> None:
    operator, book = Operator(), busy_book()
    metering = Metering("gateway-0", tmp_path / "meter.sock", operator.send)
    metering._name = "gateway-0/a"
    book.open(orders("one"))
    metering._take(wire_of(book, is_whole=True))
    await metering._send_all()

    metering._keep_unsent()
    metering._name = "gateway-0/b"
    await metering._send_all()
    operator.is_away = False
    await metering._send_all()

    report = operator.taken.get_nowait()
    assert (report["meter"], report["isPast"], operator.taken.empty()) == ("gateway-0/a", True, True)
    assert (report["agents"][0]["total"], report["agents"][0]["open"]) == (book.accounts["one"].total, 0)


def test_all_that_a_meter_can_know_goes_out_in_lines_that_are_read() -> None:
    (whole,) = wire_of(busy_book(), is_whole=True)
    agents = [{**whole, "agent": f"00000000-0000-0000-0000-{number:012}"} for number in range(MOST_AGENTS)]

    lines = list(lines_of(agents))

    assert max(map(len, lines)) < LONGEST_LINE
    assert [each["agent"] for line in lines for each in json.loads(line)] == [each["agent"] for each in agents]
