"""The control process as a whole: who may connect, what a reconnect costs, and what the operator hears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import orjson
import pytest

from ringfence_operator.control.resource import PORT_SET
from tests.operator.control.authority import Authority
from tests.operator.control.operator_side import OperatorSide, operator_side
from tests.operator.control.port_sets import port_set
from tests.operator.control.responder import REPORT, Responder, channel, responder
from tests.operator.control.world import REPLICA, A, World, world
from tests.ports import free_block


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as found:
        yield found


async def test_a_gateway_that_comes_back_is_sent_nothing_that_it_has(at: World) -> None:
    await at.apply("a.example")
    listeners, clusters = (f"{each}_manager.{each}_added" for each in ("listener", "cluster"))
    before = at.envoy.updates()
    stream = await at.tls("a.example")

    at.operator.close()
    await _unserved(at)
    async with operator_side(at.place.socket) as operator:
        operator.identify(at.authority)
        operator.configure()
        operator.put(port_set(at.block, "a.example", version="v1"))
        operator.say("synced")
        async with responder(at.place.port, at.folder / "tls", f"{REPLICA}/dns"):
            await operator.hear("joined", replica=REPLICA)
            await operator.hear("inForce", replica=REPLICA, block=at.block, version="v1")
            after = at.envoy.updates()

    assert (before[listeners], before[clusters]) == (after[listeners], after[clusters])
    assert {name: after[name] for name in after if "modified" in name or "update_success" in name} == {
        name: before[name] for name in after if "modified" in name or "update_success" in name
    }
    assert await stream.ask() == f"{A}:443"


async def test_a_responder_that_comes_back_is_sent_the_differences(at: World) -> None:
    await at.apply("a.example")
    again = Responder(f"{REPLICA}/dns", held={each: dict(held) for each, held in at.responder.held.items()})
    again.held[PORT_SET]["p-01874"] = "of before"

    async with channel(at.place.port, at.folder / "tls") as open_channel:
        running = asyncio.create_task(again.run(open_channel))
        await at.operator.hear("released", block=1874)
        running.cancel()
        with suppress(asyncio.CancelledError, grpc.RpcError):
            await running

    assert again.sent == 1
    assert again.held == at.responder.held


async def test_the_gateway_goes_on_while_the_operator_is_away_and_a_new_one_finds_it_again(at: World) -> None:
    await at.apply("a.example")

    at.operator.close()
    await _unserved(at)
    await _refused(at.place.port)
    answers = [await at.tls_answer(name) for name in ("a.example", "b.example")]

    assert answers == [f"{A}:443", "closed"]
    async with operator_side(at.place.socket) as operator:
        operator.say("withdraw", block=at.block)
        _start(operator, at.authority)
        async with responder(at.place.port, at.folder / "tls", f"{REPLICA}/dns"):
            await operator.hear("released", block=at.block)
    assert await at.tls_answer("a.example") == "closed"


async def test_a_second_operator_takes_the_place_of_the_first(at: World) -> None:
    await at.apply("a.example")

    async with operator_side(at.place.socket) as operator:
        await _unserved(at)
        _start(operator, at.authority)
        async with responder(at.place.port, at.folder / "tls", f"{REPLICA}/dns"):
            await operator.hear("joined", replica=REPLICA)
            assert await at.operator.is_closed()


async def test_nobody_is_served_before_the_operator_has_said_all(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.operator.close()
        await _unserved(at)
        async with operator_side(at.place.socket) as operator:
            operator.identify(at.authority)
            operator.configure()
            await _refused(at.place.port)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_only_certificates_of_the_authority_are_served(at: World, is_ours: bool) -> None:
    issuer = at.authority if is_ours else Authority()
    folder = at.folder / "client"
    issuer.write(folder, "gateway-9")
    (folder / "ca.crt").write_text(at.authority.pem)

    async with channel(at.place.port, folder) as open_channel:
        report = open_channel.unary_unary(REPORT)
        body = orjson.dumps({"node": "gateway-9/dns", "names": [], "other": []})
        if is_ours:
            assert await report(body, timeout=5) == b"{}"
        else:
            with pytest.raises(grpc.RpcError):
                await report(body, timeout=5)


async def test_certificates_are_rotated_without_cutting_a_stream(at: World) -> None:
    newer = Authority()
    pair = newer.issue("ringfence-control.ringfence-system.svc")
    both = at.authority.pem + newer.pem
    at.operator.say("identity", authority=both, certificate=pair.certificate, key=pair.key)
    await at.apply("a.example")
    folder = at.folder / "newer"
    newer.write(folder, "gateway-9")

    async with channel(at.place.port, folder) as open_channel:
        body = orjson.dumps({"node": "gateway-9/dns", "names": [], "other": []})
        answer = await open_channel.unary_unary(REPORT)(body, timeout=5)

    assert answer == b"{}"
    assert not [message for message in at.operator.heard if message["kind"] == "left"]


async def test_a_report_goes_on_to_the_operator(at: World) -> None:
    name = {"block": 3, "name": "a.example", "port": 443, "verdict": "allowed", "count": 2, "last": 1_795_000_000}
    other = {"block": 3, "verdict": "denied", "count": 1}

    async with channel(at.place.port, at.folder / "tls") as open_channel:
        body = orjson.dumps({"node": f"{REPLICA}/dns", "names": [name], "other": [other]})
        await open_channel.unary_unary(REPORT)(body, timeout=5)

    assert await at.operator.hear("seen") == {"kind": "seen", "replica": REPLICA, "names": [name], "other": [other]}


async def test_a_node_that_is_no_gateways_is_told_so(at: World) -> None:
    # One request only: a second one would race with the answer to the first.
    stranger = Responder("someone", held={PORT_SET: {}})

    async with channel(at.place.port, at.folder / "tls") as open_channel:
        with pytest.raises(grpc.RpcError) as error:
            await asyncio.wait_for(stranger.run(open_channel), 10)

    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_port_set_that_cannot_be_built_touches_its_own_policy_only(at: World) -> None:
    broken = {**port_set(at.block, "a.example", version="broken").to_wire(), "block": at.block, "allowed": 7}
    at.operator.say("portSet", **broken)

    refused = await at.operator.hear("refused", block=at.block)

    assert refused["version"] == "broken"
    other = await at.apply("b.example", block=free_block())
    assert other.block != at.block


async def test_what_goes_to_a_node_is_counted_to_the_byte(at: World) -> None:
    await at.apply("a.example")
    before = sum(at.sent)

    async with responder(at.place.port, at.folder / "tls", "gateway-9/dns") as other, asyncio.timeout(10):
        while other.held != at.responder.held:  # noqa: ASYNC110 - what comes in is for the other task
            await asyncio.sleep(0.01)

    assert sum(at.sent) - before == other.bytes > 0


async def test_a_gateway_that_leaves_is_told(at: World) -> None:
    at.envoy.process.kill()

    await at.operator.hear("left", replica=REPLICA)


def _start(operator: OperatorSide, authority: Authority) -> None:
    operator.identify(authority)
    operator.configure()
    operator.say("synced")


async def _unserved(at: World) -> None:
    """Wait until the control process has let go of everything: who connects before, may be let go of with it."""
    async with asyncio.timeout(10):
        while at.control.port is not None:  # noqa: ASYNC110 - a test does not add a signal to the product
            await asyncio.sleep(0.01)


async def _refused(port: int) -> None:
    """Wait until nobody listens on the port."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue
            writer.transport.abort()
            await asyncio.sleep(0.01)
