import contextlib
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from ringfence_gateway.health import HealthServer
from tests.gateway.clients import connected


@contextlib.asynccontextmanager
async def healthy(missing: str = "") -> AsyncIterator[int]:
    async def check() -> str:
        return missing

    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc()
    server = HealthServer(registry, missing=check)
    try:
        yield await server.start(host="127.0.0.1", port=0)
    finally:
        await server.stop()


async def _get(port: int, request: str) -> tuple[int, str]:
    async with connected(port) as (reader, writer):
        writer.write(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


async def test_probes_and_metrics_are_answered() -> None:
    async with healthy() as port:
        answers = {path: await _get(port, f"GET {path}") for path in ("/healthz", "/readyz", "/metrics")}

    assert answers["/healthz"] == answers["/readyz"] == (200, "ok\n")
    assert answers["/metrics"][0] == 200
    assert "things_total 1.0" in answers["/metrics"][1]


async def test_what_is_missing_is_told() -> None:
    async with healthy("no configuration yet") as port:
        assert await _get(port, "GET /readyz") == (503, "no configuration yet\n")
        assert await _get(port, "GET /healthz?x=1") == (200, "ok\n")


@pytest.mark.parametrize(("request_line", "status"), [("GET /other", 404), ("POST /healthz", 405)])
async def test_other_requests_are_refused(request_line: str, status: int) -> None:
    async with healthy() as port:
        assert (await _get(port, request_line))[0] == status


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 20_000, b"GET / HTTP/1.1\r\n"])
async def test_garbage_ends_its_connection_only(data: bytes) -> None:
    async with healthy() as port:
        async with connected(port) as (reader, writer):
            writer.write(data)
            writer.write_eof()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert (await _get(port, "GET /healthz"))[0] == 200
