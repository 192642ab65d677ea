"""What the real Envoy does with a connector's port set: who gets where, with the credential and without."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.control.resource import PORT_SET
from ringfence_operator.resources.port_set import HTTP, TLS, Doors, Listener, connector_holder
from ringfence_operator.resources.public import NOT_PUBLIC
from tests.operator.control.port_sets import port_set
from tests.operator.control.test_upstream_proxy import upstream_proxy
from tests.operator.control.world import NET, OTHER, A, B, Stream, World, world

SECRET = "Basic c2lkZWNhcjpzZWNyZXQ="
BROKERS = (Listener(3, "a.example", 8443), Listener(4, "b.example", 80))
MORE: dict[str, Any] = {
    "policy": connector_holder("team", "warehouse"),
    "doors": Doors(authorization=SECRET, listeners=BROKERS),
}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as found:
        yield found


async def connect(at: World, authority: str, authorization: str | None) -> Stream | str:
    """CONNECT with this credential; return the tunnel, or the answer's head if it is not 200."""
    stream = await at.plain(HTTP)
    shown = f"Proxy-Authorization: {authorization}\r\n" if authorization is not None else ""
    stream.writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{shown}\r\n".encode())
    async with asyncio.timeout(20):
        head = (await stream.reader.readuntil(b"\r\n\r\n")).decode()
    return stream if head.split()[1] == "200" else head


async def inside(at: World, authority: str, sni: str) -> str:
    """Return who answers inside a tunnel that the credential opened, `closed`, or the status."""
    stream = await connect(at, authority, SECRET)
    if isinstance(stream, str):
        return stream.split()[1]
    try:
        async with asyncio.timeout(20):
            await stream.writer.start_tls(at.internet.client(), server_hostname=sni)
    except OSError:
        return "closed"
    return await stream.ask()


async def test_with_the_credential_endpoints_and_storage_hosts_are_reached_and_nothing_else(at: World) -> None:
    await at.apply("a.example:443", "*.store.example:443", **MORE)

    places = ("a.example:443", "x.y.store.example:443", "store.example:443", "b.example:443", "a.example:80")
    answers = {place: await inside(at, place, place.split(":")[0]) for place in places}

    assert answers == {
        "a.example:443": f"{A}:443",
        "x.y.store.example:443": f"{OTHER}:443",
        "store.example:443": "403",
        "b.example:443": "403",
        "a.example:80": "403",
    }
    assert set(at.internet.asked) == {"a.example", "x.y.store.example"}


@pytest.mark.parametrize("shown", [None, "", "Basic", SECRET[:-1], SECRET + "=", SECRET.lower(), "Bearer x"])
async def test_without_the_credential_there_is_407_and_nothing(at: World, shown: str | None) -> None:
    await at.apply("a.example:443", **MORE)

    answers = [await connect(at, place, shown) for place in ("a.example:443", "b.example:443")]

    heads = [each for each in answers if isinstance(each, str)]
    assert [head.split()[1] for head in heads] == ["407", "407"]
    assert all('proxy-authenticate: Basic realm="ringfence"' in head for head in heads)
    assert (at.internet.asked, at.internet.connections) == ([], [])


async def test_requests_that_are_no_connect_get_nowhere_even_with_the_credential(at: World) -> None:
    await at.apply("a.example:443", **MORE)

    heads = [
        await at.http(f"GET http://a.example{port}/ HTTP/1.1\nHost: a.example\nProxy-Authorization: {shown}\n\n")
        for port in ("", ":443")
        for shown in (SECRET, "none")
    ]

    assert [head.split()[1] for head in heads] == ["403", "407", "403", "407"]
    assert at.internet.connections == []


async def test_inside_a_tunnel_the_name_is_judged_once_more(at: World) -> None:
    await at.apply("a.example:443", "*.store.example:443", **MORE)

    answers = [await inside(at, "a.example:443", name) for name in ("a.example", "x.store.example", "b.example")]

    assert answers == [f"{A}:443", f"{OTHER}:443", "closed"]
    stream = await connect(at, "a.example:443", SECRET)
    assert isinstance(stream, Stream)
    stream.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await stream.closed(10)


async def test_another_port_than_443_has_names_of_its_own(at: World) -> None:
    await at.apply("a.example:443", "b.example:8443", further={8443: 5}, **MORE)

    places = ("a.example:443", "b.example:8443", "a.example:8443", "b.example:443")
    answers = [await inside(at, place, place.split(":")[0]) for place in places]

    assert answers == [f"{A}:443", f"{B}:8443", "403", "403"]


async def test_what_judges_inside_tunnels_is_open_to_the_gateways_own_pod_alone(at: World) -> None:
    await at.apply("a.example:443", "b.example:8443", further={8443: 5}, **MORE)

    bound = {offset: _takes(f"{NET}.9", at.port(offset)) for offset in (HTTP, TLS, 3, 4, 5)}

    assert bound == {HTTP: True, TLS: False, 3: True, 4: True, 5: False}


async def test_a_listener_leads_to_its_one_host_and_port_whatever_is_said_on_it(at: World) -> None:
    await at.apply(**MORE)

    by_name = [await at.tls_answer(name, offset=3) for name in ("a.example", "b.example", "no.example", None)]
    stream = await at.plain(4)
    stream.writer.write(b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
    async with asyncio.timeout(20):
        head = await stream.reader.readuntil(b"\r\n\r\n")
        body = await stream.reader.readline()

    assert by_name == [f"{A}:8443"] * 4
    assert (head.split()[1], body) == (b"200", f"{B}:80\n".encode())
    assert set(at.internet.asked) == {"a.example", "b.example"}


async def test_no_listener_and_no_tunnel_leads_to_an_address_that_is_not_public(tmp_path: Path) -> None:
    async with world(tmp_path, closed=(f"{A}/32",), reserved=[f"{B}/32"]) as at:
        await at.apply("a.example:443", "b.example:443", "c.example:443", **MORE)

        tunnels = [await inside(at, f"{name}:443", name) for name in ("a.example", "b.example", "c.example")]
        listeners = [await at.tls_answer("a.example", offset=3), await (await at.plain(4)).ask()]

    assert tunnels == ["closed", "closed", f"{OTHER}:443"]
    assert listeners == ["closed", "closed"]
    assert {address for address, _ in at.internet.connections} == {OTHER}


async def test_names_of_the_cluster_and_of_the_metadata_server_stay_closed(tmp_path: Path) -> None:
    names = {"a.example": ["169.254.169.254"], "b.example": ["10.0.0.1"]}
    async with world(tmp_path, names=names, closed=NOT_PUBLIC, serve=False) as at:
        await at.apply("a.example:443", "b.example:443", **MORE)

        tunnels = [await inside(at, f"{name}:443", name) for name in names]
        listeners = [await at.tls_answer("a.example", offset=3), await at.tls_answer("b.example", offset=4)]

    assert tunnels == listeners == ["closed", "closed"]


async def test_with_an_upstream_proxy_both_go_out_through_it(tmp_path: Path) -> None:
    async with upstream_proxy() as proxy:
        url = f"http://user:word@{A}:{proxy.port}"
        async with world(tmp_path, serve=False, closed=NOT_PUBLIC, upstreamProxy=url) as at:
            await at.apply("a.example:443", **MORE)

            await inside(at, "a.example:443", "a.example")
            await at.tls_answer("a.example", offset=3)

    firsts = [head.split("\r\n")[0] for head in proxy.heads]
    assert firsts == ["CONNECT a.example:443 HTTP/1.1", "CONNECT a.example:8443 HTTP/1.1"]
    assert all(SECRET not in head for head in proxy.heads)


async def test_another_credential_is_in_force_at_once_and_cuts_no_tunnel(at: World) -> None:
    await at.apply("a.example:443", **MORE)
    tunnel = await connect(at, "a.example:443", SECRET)
    assert isinstance(tunnel, Stream)
    await tunnel.writer.start_tls(at.internet.client(), server_hostname="a.example")

    await at.apply("a.example:443", policy=MORE["policy"], doors=Doors(authorization="Basic bmV3"))
    before, after = await connect(at, "a.example:443", SECRET), await connect(at, "a.example:443", "Basic bmV3")

    assert isinstance(before, str)
    assert before.split()[1] == "407"
    assert isinstance(after, Stream)
    assert await tunnel.ask() == f"{A}:443"


async def test_a_listener_that_goes_cuts_what_it_carries_and_no_other(at: World) -> None:
    await at.apply(**MORE)
    cut, kept = await at.tls("a.example", offset=3), await at.plain(4)
    kept.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(20):
        await kept.reader.readuntil(b"\r\n\r\n")
        await kept.reader.readline()

    await at.apply(policy=MORE["policy"], doors=Doors(authorization=SECRET, listeners=BROKERS[1:]))

    assert await cut.closed(5)
    kept.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await kept.reader.readline()).split()[1] == b"200"


async def test_no_name_is_answered_for_on_a_connectors_port_set(at: World) -> None:
    await at.apply("a.example:443", **MORE)

    assert at.responder.held[PORT_SET] == {}


async def test_what_is_withdrawn_is_released_and_may_be_a_policys_next(at: World) -> None:
    await at.apply("a.example:443", **MORE)
    at.operator.say("withdraw", block=at.block)
    await at.operator.hear("released", block=at.block)

    await at.apply("b.example")

    assert await at.tls_answer("b.example") == f"{B}:443"
    assert isinstance(await connect(at, "b.example:443", None), Stream)


async def test_nobody_logs_the_credential(at: World, capsys: pytest.CaptureFixture[str]) -> None:
    await at.apply("a.example:443", **MORE)
    for shown in (SECRET, "Basic wrong"):
        await connect(at, "a.example:443", shown)

    logs = "".join(capsys.readouterr()) + (at.folder / "envoy.log").read_text()
    assert SECRET.split()[1] not in logs
    assert SECRET not in repr(port_set(1, **MORE))


def _takes(address: str, port: int) -> bool:
    """Return True if something listens there."""
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True
