"""The meter between the real Envoy and itself; agents are loopback addresses other than the gateway's own."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.gateway.test_with_envoy import REPLICA, Gateway, gateway
from tests.operator.control.operator_side import SECONDS

ONE, OTHER = "127.0.0.77", "127.0.0.78"
LINE = 10_000
REFUSED = (OSError, ssl.SSLError, asyncio.IncompleteReadError)


def orders(name: str, address: str, **more: Any) -> dict[str, Any]:
    """Return the message with which the operator says what holds for a pod."""
    usual: dict[str, Any] = {"left": None, "totals": {}, "connections": None, "replicas": [REPLICA]}
    words = {"words": "Quota team: networkBytes are used up", "retryAfter": 7}
    return {"uid": f"pod-{name}", "agent": name, "address": address, **usual, **words, **more}


class Talk:
    """A TLS connection from an agent's address, whose server echoes lines."""

    def __init__(self, made: Gateway, source: str) -> None:
        self._made, self._source = made, source
        self.reader: Any = None
        self.writer: Any = None

    async def open(self) -> "Talk":
        async with asyncio.timeout(SECONDS):
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1",
                10_000 + 16 * self._made.block + 2,
                ssl=self._made.client,
                server_hostname="a.example",
                local_addr=(self._source, 0),
            )
        return self

    async def say(self, size: int) -> bool:
        """Send lines of `size` bytes altogether; return whether their echoes came."""
        async with asyncio.timeout(SECONDS):
            try:
                for first in range(0, size, LINE):
                    self.writer.write(b"x" * (min(LINE, size - first) - 1) + b"\n")
                    await self.writer.drain()
                    if not await self.reader.readline():
                        return False
            except REFUSED:
                return False
        return True

    async def is_cut(self) -> bool:
        async with asyncio.timeout(SECONDS):
            try:
                return not await self.reader.read(1)
            except REFUSED:
                return True

    def close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()


async def opened(made: Gateway, source: str) -> Talk | None:
    """Return a connection over which something came back, None if it was refused."""
    talk = Talk(made, source)
    with suppress(*REFUSED):
        await talk.open()
        if await talk.say(10):
            return talk
    talk.close()
    return None


async def in_time(made: Gateway, source: str) -> Talk:
    """Return a connection that is open at last: a meter takes a moment to start."""
    async with asyncio.timeout(SECONDS):
        while True:
            talk = await opened(made, source)
            if talk is not None:
                return talk


async def counted(made: Gateway, agent: str, **wanted: int) -> dict[str, Any]:
    """Return the first report in which the agent's figures are at least those that are wanted."""
    async with asyncio.timeout(SECONDS):
        while True:
            message = await made.operator.hear("metered")
            for each in message["agents"]:
                if each["agent"] == agent and all(each[name] >= least for name, least in wanted.items()):
                    return {**each, "meter": message["meter"]}


async def told_anew(made: Gateway, meter: str) -> dict[str, Any]:
    """Return what the gateway tells of a meter to an operator that begins, once it was given something to tell."""
    async with asyncio.timeout(SECONDS):
        while True:
            made.metering.connected()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    return await made.operator.hear("metered", meter=meter)


async def test_who_uses_up_what_is_left_is_cut_and_refused_and_who_is_under_the_same_policy_goes_on(
    tmp_path: Path,
) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE, left=100_000))
        made.operator.say("meter", **orders("other", OTHER))
        await made.apply("a.example", is_metered=True)
        one, other = await in_time(made, ONE), await in_time(made, OTHER)
        before = await one.say(1_000)
        at_the_limit = await one.say(200_000)
        again = await opened(made, ONE)
        goes_on = await other.say(200_000)
        told = await counted(made, "one", cut=2)
        await other.say(10)
        of_other = await counted(made, "other", total=200_000)
        one.close()
        other.close()

    assert (before, at_the_limit, again, goes_on) == (True, False, None, True)
    assert told["total"] == 100_000
    assert told["open"] == 0
    assert of_other["cut"] == 0
    assert list(of_other["slots"]["Month/Calendar"].values()) == [of_other["total"]]


async def test_the_way_opens_again_once_there_is_more(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE, left=0))
        await made.apply("a.example", is_metered=True)
        closed = await opened(made, ONE)
        made.operator.say("meter", **orders("one", ONE, left=100_000))
        talk = await in_time(made, ONE)
        talk.close()

    assert closed is None


async def test_what_was_counted_before_the_orders_were_made_is_not_counted_again(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE))
        await made.apply("a.example", is_metered=True)
        talk = await in_time(made, ONE)
        await talk.say(50_000)
        told = await counted(made, "one", total=100_000)
        made.operator.say("meter", **orders("one", ONE, left=300_000, totals={told["meter"]: told["total"]}))
        goes_on = await talk.say(60_000)
        is_cut = not await talk.say(200_000)
        last = await counted(made, "one", cut=1)
        talk.close()

    assert goes_on
    assert is_cut
    assert last["total"] == told["total"] + 300_000


async def test_no_more_connections_are_open_than_may_be(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE, connections=2))
        made.operator.say("meter", **orders("other", OTHER))
        await made.apply("a.example", is_metered=True)
        other = await in_time(made, OTHER)
        first, second = await in_time(made, ONE), await in_time(made, ONE)
        third = await opened(made, ONE)
        told = await counted(made, "one", refused=1)
        first.close()
        again = await in_time(made, ONE)
        still = await second.say(10)
        for talk in (second, again, other):
            talk.close()

    assert third is None
    assert told["open"] == 2
    assert still


async def test_an_address_that_nobody_has_spoken_of_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE))
        await made.apply("a.example", is_metered=True)
        known, unknown = await in_time(made, ONE), await opened(made, OTHER)
        known.close()

    assert unknown is None


async def test_a_connection_waits_for_word_of_its_pod(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE))
        await made.apply("a.example", is_metered=True)
        first = await in_time(made, ONE)
        opening = asyncio.create_task(opened(made, OTHER))
        made.operator.say("meter", **orders("other", OTHER))
        talk = await opening
        for each in (first, talk):
            assert each is not None
            each.close()


async def test_the_connections_of_a_pod_that_is_gone_are_cut(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE))
        made.operator.say("meter", **orders("other", OTHER))
        await made.apply("a.example", is_metered=True)
        one, other = await in_time(made, ONE), await in_time(made, OTHER)
        made.operator.say("meterGone", uid="pod-one")
        is_cut = await one.is_cut()
        goes_on = await other.say(10)
        other.close()

    assert is_cut
    assert goes_on


async def test_what_a_meter_counted_that_is_gone_is_told_to_an_operator_that_begins(tmp_path: Path) -> None:
    counts = {"total": 7, "open": 0, "refused": 0, "cut": 1, "pods": {}, "slots": {"Month": {"99999": 7}}}
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meterPast", agent="one", counts=[{"meter": "gateway-9/x", **counts}])
        told = await told_anew(made, "gateway-9/x")

    assert told["isPast"] is True
    assert told["agents"] == [{"agent": "one", **counts}]


async def test_a_proxy_request_is_refused_in_words(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE, left=0))
        made.operator.say("meter", **orders("other", OTHER))
        await made.apply("a.example", is_metered=True)
        (await in_time(made, OTHER)).close()
        answer = await request(made, ONE)

    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"Retry-After: 7\r\n" in answer
    assert b"networkBytes are used up" in answer


async def test_plain_http_and_connect_are_counted_once(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE))
        made.operator.say("meter", **orders("other", OTHER))
        await made.apply("a.example", is_metered=True)
        (await in_time(made, OTHER)).close()
        answer = await request(made, ONE)
        plain = await counted(made, "one", total=len(answer))
        tunnel = await request(made, ONE, b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert plain["total"] == len(answer) + len(REQUEST)
    assert tunnel.startswith(b"HTTP/1.1 200 ")


async def test_a_meter_that_was_killed_is_back_and_lets_nothing_through_meanwhile(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        made.operator.say("meter", **orders("one", ONE))
        await made.apply("a.example", is_metered=True)
        talk = await in_time(made, ONE)
        first = await counted(made, "one", open=1)
        made.metering.kill()
        is_cut = await talk.is_cut()
        again = await in_time(made, ONE)
        second = await counted(made, "one", open=1, total=1)
        while second["meter"] == first["meter"]:
            second = await counted(made, "one", open=1, total=1)
        again.close()

    assert is_cut
    assert second["total"] > 0


REQUEST = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"


async def request(made: Gateway, source: str, text: bytes = REQUEST) -> bytes:
    """Return the first that the gateway answers."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", 10_000 + 16 * made.block + 1, local_addr=(source, 0)
        )
        writer.write(text)
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        body = await reader.readexactly(int(length[0].partition(b":")[2])) if length else b""
        writer.transport.abort()
    return head + body
