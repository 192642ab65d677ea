"""The sidecar as a process."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ringfence_sidecar import __version__
from tests.ports import free_port
from tests.sidecar.plugin.bed import configuration
from tests.sidecar.rest.bed import SECONDS, until_ready, write

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
HEAVY = ("snowflake", "sqlglot", "aio_pika", "redis", "opentelemetry", "jsonschema_rs", "pydantic", "mcp", "httpx")
SPARED = (
    *("click", "starlette", "anyio", "argparse", "wsgiref", "structlog.dev", "logging.config", "socketserver"),
    *("http.server", "urllib.error", "urllib.request", "importlib.metadata"),
)
"""What libraries would load that the sidecar has no use for."""


async def started(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ringfence_sidecar",
        *arguments,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "sidecar"), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(program: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(program.communicate(), START_SECONDS)
    return program.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def process(
    path: Path | None, **variables: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """A process that follows the file, and a client of it, once it listens."""
    port = free_port()
    if path is not None:
        variables["RINGFENCE_SIDECAR_CONFIGURATION_FILE"] = str(path)
    program = await started(
        RINGFENCE_SIDECAR_PORT=str(port), RINGFENCE_SIDECAR_HEALTH_PORT=str(free_port()), **variables
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=SECONDS) as client:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(client):
                    assert program.returncode is None
                    await asyncio.sleep(0.02)
            yield program, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        await asyncio.wait_for(program.communicate(), SECONDS)


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        await client.get("/healthz")
    except httpx.TransportError:
        return False
    return True


async def test_help_names_the_variables_and_version_the_version() -> None:
    code, text, _ = await ended(await started("--help"))
    version = await ended(await started("--version"))

    assert code == 0
    assert "RINGFENCE_SIDECAR_CONTROL" in text
    assert version[:2] == (0, f"{__version__}\n")


async def test_a_setting_that_does_not_fit_ends_it_with_a_sentence() -> None:
    code, _, err = await ended(await started())

    assert code == 2
    assert err.startswith("ringfence_sidecar: set either RINGFENCE_SIDECAR_CONTROL")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_with_its_audit_closed(tmp_path: Path, number: int) -> None:
    path = tmp_path / "configuration.json"
    write(path, configuration())

    async with process(path) as (program, client):
        await until_ready(client)
        await client.get("/v1/cache/a")
        program.send_signal(number)
        code, out, err = await ended(program)

    assert code == 0
    assert [line.split('"event":"')[1].split('"')[0] for line in out.splitlines()] == ["start", "call", "end"]
    assert "Traceback" not in err


async def test_what_the_sidecar_does_itself_is_served_and_audited(tmp_path: Path) -> None:
    path = tmp_path / "configuration.json"
    write(path, configuration())

    async with process(path) as (program, client):
        await until_ready(client)
        answers = [
            await client.put("/v1/cache/colour", json={"value": "blue"}),
            await client.get("/v1/cache/colour"),
            await client.get("/v1/cache/grey"),
        ]
        program.terminate()
        _, out, _ = await ended(program)

    calls = [line for line in map(json.loads, out.splitlines()) if line["event"] == "call"]
    assert [answer.status_code for answer in answers] == [200, 200, 404]
    assert [(call["connector"], call["operation"], call["outcome"], call["code"]) for call in calls] == [
        ("cache", "set", "ok", ""),
        ("cache", "get", "ok", ""),
        ("cache", "get", "notFound", "ValueNotFound"),
    ]
    assert [(call["cache"], call["bytesOut"]) for call in calls] == [("none", 2), ("local", 16), ("none", 0)]


async def test_a_port_that_is_taken_ends_it_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "configuration.json"
    write(path, configuration())

    async with process(path) as (_, client):
        code, _, err = await ended(
            await started(
                RINGFENCE_SIDECAR_CONFIGURATION_FILE=str(path),
                RINGFENCE_SIDECAR_PORT=str(client.base_url.port),
                RINGFENCE_SIDECAR_HEALTH_PORT=str(free_port()),
            )
        )

    assert code == 1
    assert "sidecar.failed" in err
    assert "ddress already in use" in err


async def test_with_the_operator_away_it_lives_is_not_ready_and_refuses_calls(tmp_path: Path) -> None:
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x")
    files = {
        "RINGFENCE_SIDECAR_TOKEN_FILE": str(tmp_path / "token"),
        "RINGFENCE_SIDECAR_AUTHORITY_FILE": str(tmp_path / "ca.crt"),
    }

    async with process(None, RINGFENCE_SIDECAR_CONTROL=f"https://127.0.0.1:{free_port()}", **files) as (
        program,
        client,
    ):
        ready = await client.get("/readyz")
        call = await client.post("/v1/connectors/sales/query", json={"sql": "SELECT 1"})
        program.send_signal(signal.SIGTERM)
        code, out, _ = await ended(program)

    assert ready.status_code == 503
    assert (call.status_code, call.json()["code"]) == (503, "NotConfigured")
    assert '"code":"NotConfigured"' in out
    assert code == 0


async def test_a_file_that_cannot_be_used_leaves_in_force_what_is(tmp_path: Path) -> None:
    path = tmp_path / "configuration.json"
    write(path, configuration())

    async with process(path) as (program, client):
        await until_ready(client)
        path.write_text("{")
        async with asyncio.timeout(SECONDS):
            assert program.stderr is not None
            while b"configuration.unusable" not in await program.stderr.readline():
                pass
        ready = await client.get("/readyz")

    assert ready.status_code == 200


async def test_no_driver_is_loaded_before_a_connector_is_bound() -> None:
    code = "import sys, ringfence_sidecar.__main__; print(*sys.modules)"

    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "sidecar")},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(program.communicate(), START_SECONDS)

    assert not set(out.decode().split()) & {*HEAVY, *SPARED}
