"""The relay to an address: one destination, and only for who has its password."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.snowflake.relay import Relay
from tests.ports import free_port

HOST = "acme.snowflakecomputing.com"


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"there:" + await reader.readline())
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    yield port
    server.close()


@pytest.fixture
async def relay(echo: int) -> AsyncIterator[tuple[int, str]]:
    relay = Relay(Endpoint(name="main", host=HOST, port=443, address="127.0.0.1", address_port=echo))
    options = await relay.start()
    yield options["proxy_port"], f"{options['proxy_user']}:{options['proxy_password']}"
    await relay.stop()


async def ask(port: int, target: str, credential: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    authorization = base64.b64encode(credential.encode()).decode()
    writer.write(f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Basic {authorization}\r\n\r\n".encode())
    writer.write(b"hello\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_who_has_the_password_is_connected_to_the_address(relay: tuple[int, str]) -> None:
    port, credential = relay

    assert await ask(port, f"{HOST}:443", credential) == b"HTTP/1.1 200 -\r\n\r\nthere:hello\n"


@pytest.mark.parametrize("credential", ["", "ringfence:", "ringfence:guess", "other:"])
async def test_who_has_not_is_not(relay: tuple[int, str], credential: str) -> None:
    assert await ask(relay[0], f"{HOST}:443", credential) == b"HTTP/1.1 407 -\r\n\r\n"


@pytest.mark.parametrize("target", ["169.254.169.254:80", f"{HOST}:80", f"{HOST}:4433", f"x{HOST}:443"])
async def test_no_other_destination_is_to_be_had(relay: tuple[int, str], target: str) -> None:
    port, credential = relay

    assert await ask(port, target, credential) == b"HTTP/1.1 403 -\r\n\r\n"


async def test_it_listens_on_the_loopback_address_and_no_longer_than_it_is_needed(echo: int) -> None:
    relay = Relay(Endpoint(name="main", host=HOST, port=443, address="127.0.0.1", address_port=echo))
    options = await relay.start()
    await relay.stop()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", options["proxy_port"])
    assert options["proxy_host"] == "127.0.0.1"


async def test_an_address_that_is_not_there_ends_the_connection() -> None:
    relay = Relay(Endpoint(name="main", host=HOST, port=443, address="127.0.0.1", address_port=free_port()))
    options = await relay.start()

    answer = await ask(options["proxy_port"], f"{HOST}:443", f"ringfence:{options['proxy_password']}")

    assert answer == b""
    await relay.stop()
