import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ringfence_gateway.control import Certificates
from ringfence_gateway.subscription import (
    PORT_SET_TYPE,
    SETTINGS_TYPE,
    Kind,
    NotConnectedError,
    RefusedError,
    Subscription,
)
from tests.gateway.certificates import Authority
from tests.gateway.clients import SECONDS
from tests.gateway.control_server import NAME, ControlServer, Stream
from tests.ports import free_port


class Held:
    """What a subscription has taken; refuses values that begin with `bad`."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def put(self, name: str, value: bytes) -> None:
        if value.startswith(b"bad"):
            raise ValueError("it is bad")
        self.values[name] = value

    def remove(self, name: str) -> None:
        self.values.pop(name, None)


class Following:
    """A subscription at work."""

    def __init__(self, port: int, directory: Path) -> None:
        self.held = Held()
        self.subscription = Subscription(
            "g-1/dns",
            "localhost",
            port,
            certificates=Certificates(directory),
            kinds={each: Kind(self.held.put, self.held.remove) for each in (SETTINGS_TYPE, PORT_SET_TYPE)},
            server_name=NAME,
        )


@contextlib.asynccontextmanager
async def following(port: int, directory: Path) -> AsyncIterator[Following]:
    made = Following(port, directory)
    task = asyncio.create_task(made.subscription.run())
    try:
        async with asyncio.timeout(SECONDS * 2):
            yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority()
    made.write(tmp_path)
    return made


def _told(acknowledgement: Any) -> tuple[str, int, str]:
    detail = acknowledgement.error_detail
    return acknowledgement.response_nonce, detail.code, detail.message


async def test_resources_are_taken_and_acknowledged(authority: Authority, tmp_path: Path) -> None:
    server = ControlServer()

    async with server.serving(authority) as port, following(port, tmp_path) as made:
        stream = await server.streams.get()
        settings = await stream.send(SETTINGS_TYPE, "1", {"settings": ("1", b"s")})
        both = await stream.send(PORT_SET_TYPE, "1", {"p-00001": ("1", b"a"), "p-00002": ("1", b"b")})
        removed = await stream.send(PORT_SET_TYPE, "2", {}, "p-00001")

    assert stream.firsts[PORT_SET_TYPE].node.id == "g-1/dns"
    assert list(stream.firsts) == [SETTINGS_TYPE, PORT_SET_TYPE]
    assert [_told(each) for each in (settings, both, removed)] == [("1", 0, ""), ("1", 0, ""), ("2", 0, "")]
    assert made.held.values == {"settings": b"s", "p-00002": b"b"}


async def test_one_refused_resource_is_named_and_the_others_are_taken(authority: Authority, tmp_path: Path) -> None:
    server = ControlServer()

    async with server.serving(authority) as port, following(port, tmp_path) as made:
        stream = await server.streams.get()
        refused = await stream.send(PORT_SET_TYPE, "1", {"p-00001": ("1", b"bad"), "p-00002": ("1", b"b")})

    assert _told(refused) == ("1", 3, "p-00001: it is bad")
    assert made.held.values == {"p-00002": b"b"}


async def test_after_a_break_it_says_what_it_holds_and_keeps_it_meanwhile(authority: Authority, tmp_path: Path) -> None:
    server, port = ControlServer(), free_port()

    async with following(port, tmp_path) as made:
        async with server.serving(authority, port=port):
            stream = await server.streams.get()
            await stream.send(PORT_SET_TYPE, "1", {"p-00001": ("1", b"a"), "p-00002": ("7", b"b")})
            await stream.send(PORT_SET_TYPE, "2", {"p-00001": ("2", b"bad")}, "p-00003")
        kept = dict(made.held.values)
        async with server.serving(authority, port=port):
            again: Stream = await server.streams.get()

    assert kept == {"p-00001": b"a", "p-00002": b"b"}
    assert again.firsts[PORT_SET_TYPE].initial_resource_versions == {"p-00001": "1", "p-00002": "7"}


async def test_new_certificates_are_taken_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    server, other, port = ControlServer(), Authority(), free_port()

    async with following(port, tmp_path):
        async with server.serving(authority, port=port):
            await server.streams.get()
        other.write(tmp_path)
        async with server.serving(other, port=port):
            again = await server.streams.get()

    assert SETTINGS_TYPE in again.firsts


async def test_a_change_of_certificates_ends_the_old_connection(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_gateway.control.CHECK_SECONDS", 0.02)
    server = ControlServer()

    async with server.serving(authority) as port, following(port, tmp_path):
        first = await server.streams.get()
        authority.write(tmp_path)
        second = await server.streams.get()

    assert first is not second


@pytest.mark.parametrize("name", ["other.test", "localhost"])
async def test_a_server_of_another_name_gets_nothing(authority: Authority, tmp_path: Path, name: str) -> None:
    server = ControlServer()

    async with server.serving(authority, name=name) as port, following(port, tmp_path) as made:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.streams.get(), 0.5)
        with pytest.raises(NotConnectedError):
            await made.subscription.report(b"{}")


async def test_a_server_of_another_authority_gets_nothing(authority: Authority, tmp_path: Path) -> None:
    server = ControlServer()

    async with server.serving(Authority()) as port, following(port, tmp_path):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.streams.get(), 0.5)


async def test_of_several_addresses_the_one_that_serves_is_found(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ControlServer()

    async def several(host: str, port: int) -> list[str]:
        return [f"ipv4:127.0.0.2:{port}", f"ipv6:[::1]:{port}", f"ipv4:127.0.0.1:{port}"]

    monkeypatch.setattr("ringfence_gateway.subscription.addresses_of", several)
    async with server.serving(authority) as port, following(port, tmp_path):
        stream = await server.streams.get()

    assert SETTINGS_TYPE in stream.firsts


async def test_reports_go_where_the_stream_goes(authority: Authority, tmp_path: Path) -> None:
    server = ControlServer()

    async with server.serving(authority) as port, following(port, tmp_path) as made:
        await (await server.streams.get()).send(SETTINGS_TYPE, "1", {})
        await made.subscription.report(b'{"names":[]}')
        server.status = grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(RefusedError):
            await made.subscription.report(b"wrong")
        server.status = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(NotConnectedError):
            await made.subscription.report(b"{}")

    assert server.reports == [b'{"names":[]}']


async def test_a_report_on_its_way_when_its_connection_is_closed_did_not_arrive(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_gateway.control.CHECK_SECONDS", 0.05)
    server = ControlServer()
    server.answering.clear()

    async with server.serving(authority) as port, following(port, tmp_path) as made:
        # Its answer means that the stream is known as the place where reports go.
        await (await server.streams.get()).send(SETTINGS_TYPE, "1", {})
        report = asyncio.create_task(made.subscription.report(b"{}"))
        await server.asked.wait()
        authority.write(tmp_path)
        # Told apart from a task that somebody cancels, which whoever sends would end for.
        with pytest.raises(NotConnectedError):
            await report


async def test_whoever_sends_a_report_can_still_be_cancelled(authority: Authority, tmp_path: Path) -> None:
    server = ControlServer()
    server.answering.clear()

    async with server.serving(authority) as port, following(port, tmp_path) as made:
        # Its answer means that the stream is known as the place where reports go.
        await (await server.streams.get()).send(SETTINGS_TYPE, "1", {})
        report = asyncio.create_task(made.subscription.report(b"{}"))
        await server.asked.wait()
        report.cancel()
        with pytest.raises(asyncio.CancelledError):
            await report
