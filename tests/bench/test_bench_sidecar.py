import asyncio
import random
from collections import Counter

from bench.sidecar.broker import BATCH, rows_of
from bench.sidecar.client import Answer, Connection, is_tool_served
from bench.sidecar.footprint import served
from bench.sidecar.invalidation import round_trips
from bench.sidecar.killed import around
from bench.sidecar.load import Attempt, steady
from bench.sidecar.memory import Memory
from bench.sidecar.outage import moments
from bench.sidecar.skew import zipf

ROLLUP = """55d0c0000000-7ffd rw-p 00000000 00:00 0 [rollup]
Rss:               37164 kB
Pss:               28064 kB
Shared_Clean:      13368 kB
Private_Clean:        56 kB
Private_Dirty:     23740 kB
"""


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


def attempt(began: float, ended: float, *, endpoint: str = "a", fault: str = "") -> Attempt:
    return Attempt(began, ended, endpoint, fault)


def test_memory_is_what_the_kernel_says_in_mebibytes() -> None:
    assert Memory.from_text(ROLLUP) == Memory(rss=36.3, private=23.2)


async def test_an_answer_is_whole_only_once_its_last_byte_is_there() -> None:
    connection, wire = Connection(), Wire()
    connection.connection_made(wire)
    waiting = asyncio.create_task(connection.exchange(b"GET"))
    await asyncio.sleep(0)

    for piece in (b"HTTP/1.1 404 Not Found\r\nContent-", b"Length: 4\r\n\r\nno", b"ne"):
        assert not waiting.done()
        connection.data_received(piece)
        await asyncio.sleep(0)

    assert wire.written == b"GET"
    assert await waiting == Answer(404, b"none")


async def test_a_connection_that_ends_says_so_to_who_waits() -> None:
    connection = Connection()
    connection.connection_made(Wire())
    waiting = asyncio.create_task(connection.exchange(b"GET"))
    await asyncio.sleep(0)

    connection.connection_lost(None)

    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], ConnectionResetError)


def test_a_tool_that_answers_with_an_error_was_not_served() -> None:
    assert is_tool_served(Answer(200, b'{"result": {"isError": false}}'))
    assert not is_tool_served(Answer(200, b'{"result": {"isError": true}}'))
    assert not is_tool_served(Answer(200, b'{"error": {"code": -32602}}'))


def test_the_first_key_comes_as_often_as_zipfs_law_says() -> None:
    keys = Counter(zipf(20_000, 100, random.Random(1)))

    share = 1 / sum(rank**-1.1 for rank in range(1, 101))
    assert abs(keys[0] / 20_000 - share) < 0.01
    assert keys[0] > keys[1] > keys[9]


def test_calls_that_wait_at_the_same_time_are_one_hiccup() -> None:
    pod = [attempt(0.0, 0.001), attempt(1.0, 1.04), attempt(1.02, 1.05), attempt(2.0, 2.03), attempt(3.0, 3.01)]

    assert moments(pod) == 2


def test_around_a_death_are_the_calls_that_it_may_have_held_up() -> None:
    attempts = [
        attempt(9.0, 9.1),
        attempt(9.9, 10.3, endpoint="b"),
        attempt(10.5, 10.6, endpoint="b"),
        attempt(12.0, 15.0, endpoint="b"),
        attempt(10.1, 10.2, fault="503"),
    ]

    assert around(attempts, 10.0) == attempts[1:3]


def test_the_brokers_rows_say_how_many_messages_a_call_has_and_take_the_usual_turn() -> None:
    rates = {
        "publish sidecar": [600, 500, 9000],
        "publish driver": [1000, 1000, 1000],
        "receive sidecar": [400, 400, 400],
        "receive driver": [1000, 1000, 1000],
        "single sidecar": [20, 20, 20],
        "single driver": [100, 100, 100],
    }

    published, received, single = rows_of(rates, "quiet")

    assert (published.measured, published.holds) == (0.6, True)
    assert f"{BATCH} a call" in published.measure
    assert (received.measured, received.holds) == (0.4, False)
    assert (single.measured, single.holds) == (0.2, None)
    assert "one a call" in single.measure


def test_a_sidecar_is_busy_only_if_its_calls_are_served_and_nearly_as_fast_as_they_come() -> None:
    good, bad = [attempt(0.0, 0.01)] * 960, [attempt(0.0, 0.01, fault="503")] * 40

    assert [row.holds for row in served(good, 10.0)] == [True, True]
    assert [row.holds for row in served([*good, *bad], 10.0)] == [False, True]
    assert [row.holds for row in served(good, 11.0)] == [True, False]


def test_a_round_trip_is_whatever_redis_has_read_but_the_look_itself() -> None:
    before, after = {"total_reads_processed": 7}, {"total_reads_processed": 10, "total_commands_processed": 99}

    assert round_trips(before, after) == 2


async def test_calls_begin_at_their_times_whether_the_one_before_has_ended_or_not() -> None:
    hold = asyncio.Event()

    async def call(number: int) -> Answer:
        if number == 0:
            await hold.wait()
        elif number == 5:
            hold.set()
        return Answer(200, b'{"metadata": {"endpoint": "a"}, "warnings": []}')

    attempts = await steady(call, rate=200, seconds=0.1)

    assert len(attempts) > 5
    assert attempts[0].ended >= attempts[5].began
    assert not any(each.fault for each in attempts)
