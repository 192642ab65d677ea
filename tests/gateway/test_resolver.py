import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import dns.message
import dns.rcode
import pytest

from ringfence_gateway.resolver import Resolver, ResolverServer
from ringfence_gateway.upstream import Resolvers
from tests.gateway.clients import SECONDS, addresses, ask, connected, read_message
from tests.gateway.dns_server import DnsServer, Zone, served

PUBLIC = {"1.1.1.1", "8.8.8.8"}


class Asked:
    """A resolver in front of a DNS server."""

    def __init__(self, server: DnsServer, resolver: Resolver, port: int) -> None:
        self.server, self.resolver, self.port = server, resolver, port
        self.refused = 0

    async def ask(self, name: str, rtype: str = "A", **options: Any) -> dns.message.Message:
        return await ask(name, self.port, rtype=rtype, **options)


@contextlib.asynccontextmanager
async def resolving(zone: Zone, **options: Any) -> AsyncIterator[Asked]:
    server = DnsServer(zone)
    async with served(server) as address:

        def refused() -> None:
            asked.refused += 1

        resolver = Resolver(Resolvers([address], seconds=0.3), refused=refused, **options)
        front = ResolverServer(resolver)
        asked = Asked(server, resolver, await front.start(port=0))
        try:
            yield asked
        finally:
            await front.stop()


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_one_public_address_is_handed_on(over_tcp: bool) -> None:
    zone = {
        ("mixed.example", "A"): ["60 IN A 10.0.0.1", "60 IN A 1.1.1.1", "60 IN A 169.254.169.254", "60 IN A 8.8.8.8"]
    }

    async with resolving(zone) as asked:
        answers = [await asked.ask("Mixed.example", over_tcp=over_tcp) for _ in range(20)]

    assert {len(addresses(answer)) for answer in answers} == {1}
    assert {addresses(answer)[0] for answer in answers} <= PUBLIC
    assert answers[0].answer[0].ttl == 60


@pytest.mark.parametrize(
    ("rtype", "record"),
    [
        ("A", "60 IN A 10.0.0.1"),
        ("A", "60 IN A 127.0.0.1"),
        ("A", "60 IN A 169.254.169.254"),
        ("AAAA", "60 IN AAAA ::1"),
        ("AAAA", "60 IN AAAA ::ffff:8.8.8.8"),
        ("AAAA", "60 IN AAAA 64:ff9b::808:808"),
        ("AAAA", "60 IN AAAA fd00::1"),
    ],
)
async def test_a_name_with_private_addresses_only_does_not_exist(rtype: str, record: str) -> None:
    async with resolving({("rebind.example", rtype): [record]}) as asked:
        answer = await asked.ask("rebind.example", rtype)

    assert (answer.rcode(), addresses(answer)) == (dns.rcode.NXDOMAIN, [])
    assert asked.refused == 1


async def test_an_alias_of_a_private_name_leads_nowhere() -> None:
    zone = {
        ("alias.example", "A"): ["60 IN CNAME inner.example.", "inner.example. 60 IN A 10.0.0.1"],
        ("good.example", "A"): [
            "60 IN CNAME b.example.",
            "b.example. 7 IN CNAME c.example.",
            "c.example. 60 IN A 1.1.1.1",
        ],
    }

    async with resolving(zone) as asked:
        private, public = await asked.ask("alias.example"), await asked.ask("good.example")

    assert private.rcode() == dns.rcode.NXDOMAIN
    assert public.answer[0].to_text() == "good.example. 7 IN A 1.1.1.1"


async def test_addresses_that_the_chain_does_not_lead_to_are_not_taken() -> None:
    zone = {
        ("a.example", "A"): ["other.example. 60 IN A 1.1.1.1"],
        ("loop.example", "A"): ["60 IN CNAME loop.example."],
    }

    async with resolving(zone) as asked:
        answers = [await asked.ask("a.example"), await asked.ask("loop.example")]

    assert [addresses(answer) for answer in answers] == [[], []]


async def test_a_name_that_turns_private_is_refused_from_then_on() -> None:
    zone = {("turn.example", "A"): ["0 IN A 1.1.1.1"]}

    async with resolving(zone) as asked:
        before = await asked.ask("turn.example")
        zone["turn.example", "A"] = ["0 IN A 10.0.0.1"]
        after = await asked.ask("turn.example")

    assert (addresses(before), before.answer[0].ttl) == (["1.1.1.1"], 1)
    assert after.rcode() == dns.rcode.NXDOMAIN


async def test_what_the_settings_reserve_is_refused_too() -> None:
    async with resolving({("a.example", "A"): ["9999 IN A 1.1.1.1"]}) as asked:
        before = await asked.ask("a.example")
        asked.resolver.reserved = (ip_network("1.1.0.0/16"),)
        after = await asked.ask("a.example")

    assert before.answer[0].ttl == 300
    assert after.rcode() == dns.rcode.NXDOMAIN


async def test_without_its_filter_it_hands_on_what_there_is() -> None:
    async with resolving({("a.example", "A"): ["60 IN A 10.0.0.1"]}, is_filtering=False) as asked:
        assert addresses(await asked.ask("a.example")) == ["10.0.0.1"]


async def test_that_there_is_no_such_name_or_no_such_address_is_handed_on() -> None:
    async with resolving({("a.example", "AAAA"): []}) as asked:
        empty, missing = await asked.ask("a.example", "AAAA"), await asked.ask("b.example")

    assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    assert missing.rcode() == dns.rcode.NXDOMAIN
    assert asked.refused == 0


async def test_other_types_are_not_asked_for() -> None:
    async with resolving({}) as asked:
        answer = await asked.ask("a.example", "TXT")

    assert (answer.rcode(), answer.answer, asked.server.asked) == (dns.rcode.NOERROR, [], [])


async def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    async with resolving({("a.example", "A"): ["60 IN A 1.1.1.1"]}) as asked:
        asked.server.is_truncating = True
        answer = await asked.ask("a.example")

    assert addresses(answer) == ["1.1.1.1"]
    assert len(asked.server.asked) == 2


async def test_questions_vary_in_case_and_in_source() -> None:
    name = "a-long-enough-name-to-vary.example"

    async with resolving({(name, "A"): ["60 IN A 1.1.1.1"]}) as asked:
        for _ in range(8):
            await asked.ask(name)

    assert len(set(asked.server.asked)) > 4
    assert len(set(asked.server.sources)) > 4


async def test_forged_answers_before_the_right_one_are_passed_over() -> None:
    def forge(response: dns.message.Message, _: int) -> list[bytes]:
        right = response.to_wire()
        other_id = bytes([right[0] ^ 1]) + right[1:]
        other_name = right.replace(b"\x07", b"\x06", 1)
        return [b"", b"garbage", other_id, other_name, right]

    async with resolving({("a.example", "A"): ["60 IN A 1.1.1.1"]}) as asked:
        asked.server.mangle = forge
        answer = await asked.ask("a.example")

    assert addresses(answer) == ["1.1.1.1"]


async def test_an_answer_in_another_case_is_believed_over_tcp_only() -> None:
    def lower(response: dns.message.Message, number: int) -> list[bytes]:
        if number > 1:
            return [response.to_wire()]
        forged = response.to_wire().replace(bytes([1, 1, 1, 1]), bytes([8, 8, 8, 8]))
        return [forged[:12] + forged[12:60].lower() + forged[60:]]

    name = "a-long-enough-name-to-vary-in-its-case.example"
    async with resolving({(name, "A"): ["60 IN A 1.1.1.1"]}) as asked:
        asked.server.mangle = lower
        answer = await asked.ask(name)

    assert addresses(answer) == ["1.1.1.1"]


async def test_a_lost_answer_is_asked_for_again_and_none_is_a_failure() -> None:
    def lose(response: dns.message.Message, number: int) -> list[bytes]:
        return [] if number == 1 else [response.to_wire()]

    async with resolving({("a.example", "A"): ["60 IN A 1.1.1.1"]}) as asked:
        asked.server.mangle = lose
        once = await asked.ask("a.example")
        asked.server.mangle = lambda *_: []
        never = await asked.ask("a.example")

    assert addresses(once) == ["1.1.1.1"]
    assert never.rcode() == dns.rcode.SERVFAIL


async def test_another_resolver_is_asked_if_the_first_fails() -> None:
    def fail(response: dns.message.Message, _: int) -> list[bytes]:
        response.set_rcode(dns.rcode.SERVFAIL)
        return [response.to_wire()]

    bad, good = DnsServer({}), DnsServer({("a.example", "A"): ["60 IN A 1.1.1.1"]})
    bad.mangle = fail
    async with served(bad) as first, served(good) as second:
        resolver = Resolver(Resolvers([first, second], seconds=0.3))
        answer = await resolver.answer(dns.message.make_query("a.example", "A").to_wire())

    assert addresses(dns.message.from_wire(answer or b"")) == ["1.1.1.1"]
    assert len(bad.asked) == 1


async def test_the_same_question_is_asked_once_at_a_time() -> None:
    queries = [dns.message.make_query(name, "A").to_wire() for name in ["a.example", "A.example", "a.EXAMPLE"] * 10]

    async with resolving({("a.example", "A"): ["60 IN A 1.1.1.1"]}) as asked:
        answers = await asyncio.gather(*(asked.resolver.answer(query) for query in queries))
        await asked.ask("a.example")

    assert {tuple(addresses(dns.message.from_wire(answer or b""))) for answer in answers} == {("1.1.1.1",)}
    assert len(asked.server.asked) == 2


async def test_too_many_questions_at_once_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_gateway.resolver.MOST_WAITING", 3)

    async with resolving({}) as asked:
        asked.server.gate.clear()
        waiting = [asyncio.create_task(asked.ask(f"n{number}.example")) for number in range(8)]
        async with asyncio.timeout(SECONDS):
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            asked.server.gate.set()
            answers = await asyncio.gather(*waiting)

    assert {task.result().rcode() for task in done} == {dns.rcode.SERVFAIL}
    assert [answer.rcode() for answer in answers].count(dns.rcode.SERVFAIL) == 5


async def test_garbage_gets_no_answer_and_ends_its_connection_only() -> None:
    async with resolving({("a.example", "A"): ["60 IN A 1.1.1.1"]}) as asked:
        async with connected(asked.port) as (reader, writer):
            writer.write(b"\x00\x03abc")
            end = await reader.read()
        async with connected(asked.port) as (reader, writer):
            writer.write(dns.message.make_query("a.example", "A").to_wire(prepend_length=True) * 2)
            answers = [await read_message(reader) for _ in range(2)]

    assert end == b""
    assert [addresses(dns.message.from_wire(answer)) for answer in answers] == [["1.1.1.1"]] * 2


async def test_a_name_that_is_asked_for_often_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    async with resolving({("rebind.example", "A"): ["60 IN A 10.0.0.1"]}) as asked:
        for _ in range(5):
            await asked.ask("rebind.example")

    assert capsys.readouterr().out.count("name refused") == 1
    assert asked.refused == 5
