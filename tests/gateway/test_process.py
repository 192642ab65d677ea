import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import dns.rcode
import grpc.aio
import pytest
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from ringfence_gateway.port_set import block_name, first_port
from ringfence_gateway.process import build_resolver
from ringfence_gateway.record import Record
from ringfence_gateway.resolver import ResolverServer
from ringfence_gateway.serving import Serving
from ringfence_gateway.subscription import PORT_SET_TYPE, SETTINGS_TYPE
from tests.gateway.builders import ADDRESS, wire
from tests.gateway.certificates import Authority
from tests.gateway.clients import SECONDS, addresses, ask, connected
from tests.gateway.control_server import NAME, ControlServer
from tests.gateway.dns_server import DnsServer, served
from tests.gateway.entries import tls_entry
from tests.gateway.test_serving import SETTINGS
from tests.ports import free_block, free_port

ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def running(directory: Path, **changes: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the process; it is told to stop at the end, and does."""
    names = {"pod": "g-1", "control_name": NAME, "tls_directory": str(directory), "run_directory": str(directory)}
    variables = {f"RINGFENCE_GATEWAY_{name.upper()}": value for name, value in (names | changes).items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ringfence_gateway",
        env=os.environ | variables | {"PYTHONPATH": str(ROOT / "gateway")},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS * 4):
            yield process
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _get(port: int, path: str) -> str:
    async with connected(port) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        return (await reader.read()).decode()


async def _live(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nLIVE\n")
    writer.close()


async def test_the_whole_process_does_what_a_gateway_pod_needs(tmp_path: Path) -> None:
    authority, control = Authority(), ControlServer()
    authority.write(tmp_path)
    http, block = free_port(), free_block()
    name, port_set = block_name(block), json.dumps(wire(block)).encode()

    async with (
        control.serving(authority) as port,
        await asyncio.start_unix_server(_live, tmp_path / "admin.sock"),
        running(tmp_path, control=f"localhost:{port}", http_port=str(http), resolver_port=str(free_port())) as process,
    ):
        stream = await control.streams.get()
        before = await _get(http, "/readyz")
        await stream.send(SETTINGS_TYPE, "1", {"settings": ("1", json.dumps(SETTINGS).encode())})
        await stream.send(PORT_SET_TYPE, "1", {name: ("1", port_set)})
        answer = await ask("API.example.com", first_port(block))
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/als.sock") as channel:
            entry = tls_entry("api.example.com", port=first_port(block) + 2)
            message = als_pb2.StreamAccessLogsMessage(
                identifier=als_pb2.StreamAccessLogsMessage.Identifier(log_name="allowed"),
                tcp_logs=als_pb2.StreamAccessLogsMessage.TCPAccessLogEntries(log_entry=[entry]),
            )
            await als_pb2_grpc.AccessLogServiceStub(channel).StreamAccessLogs(iter([message]))
        after, metrics = await _get(http, "/readyz"), await _get(http, "/metrics")

    assert "503" in before
    assert "no configuration yet" in before
    assert "200 OK" in after
    assert addresses(answer) == [ADDRESS]
    assert 'ringfence_gateway_requests_total{policy="team/web",verdict="allowed",via="tls"} 1.0' in metrics
    assert process.returncode == 0
    assert [each["names"][0]["name"] for each in map(json.loads, control.reports)] == ["api.example.com"]


async def test_it_says_what_is_missing_and_ends() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ringfence_gateway",
        env={"PYTHONPATH": str(ROOT / "gateway")},
        stderr=asyncio.subprocess.PIPE,
    )

    async with asyncio.timeout(SECONDS * 2):
        _, said = await process.communicate()

    assert (process.returncode, said) == (2, b"ringfence_gateway: RINGFENCE_GATEWAY_POD is missing\n")


async def test_no_name_is_resolved_before_the_settings_say_what_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    server = DnsServer({("api.example", "A"): ["60 IN A 8.8.8.8"], ("own.example", "A"): ["60 IN A 9.9.9.1"]})
    record = Record()
    serving = Serving(record)

    async with served(server) as upstream:
        monkeypatch.setattr("ringfence_gateway.process.system_resolvers", lambda: [upstream])
        front = ResolverServer(build_resolver(serving, record, is_filtering=True))
        port = await front.start(port=0)
        before, asked = await ask("api.example", port), list(server.asked)
        settings = {**SETTINGS, "resolvers": [], "reserved": ["9.9.9.0/24"]}
        serving.put_settings("settings", json.dumps(settings).encode())
        after, own = await ask("api.example", port), await ask("own.example", port)
        await front.stop()

    assert (before.rcode(), asked) == (dns.rcode.SERVFAIL, [])
    assert addresses(after) == ["8.8.8.8"]
    assert own.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("taken", ["http_port", "resolver_port"])
async def test_a_port_that_is_taken_ends_it(tmp_path: Path, taken: str) -> None:
    port = free_port()
    ports = {"http_port": str(free_port()), "resolver_port": str(free_port())} | {taken: str(port)}

    async with (
        await asyncio.start_server(_live, "127.0.0.1", port),
        running(tmp_path, control="localhost:1", **ports) as process,
    ):
        assert await process.wait() == 1
