"""The official suite against the product's MCP layer, and against the sidecar itself."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ringfence_sidecar.configuration import Agent, Configuration
from tests.conformance.not_applying import NOT_APPLYING, ON_THE_PRODUCT
from tests.conformance.suite import installed, run_all, run_one, scored
from tests.ports import free_port

pytestmark = [pytest.mark.backend, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
REVISIONS = ("2025-11-25", "2026-07-28")


@pytest.fixture(scope="session")
def suite() -> Path:
    return installed()


@contextlib.asynccontextmanager
async def serving(port: int, *argv: str, **variables: str) -> AsyncIterator[str]:
    """Run a program that serves MCP; yields its URL."""
    path = os.pathsep.join([str(ROOT / "sidecar"), str(ROOT)])
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *argv,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **variables},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(port):
                assert program.returncode is None, "the server ended"
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        program.terminate()
        await asyncio.wait_for(program.wait(), START_SECONDS)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_scored_scenario_passes_but_those_that_do_not_apply(
    suite: Path, tmp_path: Path, revision: str
) -> None:
    port = free_port()

    async with serving(port, "-m", "tests.conformance.everything", str(port)) as url:
        found = await asyncio.to_thread(run_all, suite, url, revision, tmp_path / "out")

    required = scored(suite, revision)
    failed = {name: faults for name, faults in found.items() if name in required and faults}
    assert required <= found.keys(), "these scenarios did not run"
    assert {name: each for name, each in failed.items() if name not in NOT_APPLYING[revision]} == {}
    assert NOT_APPLYING[revision].keys() <= required, "these are listed as not applying, and no longer exist"
    assert NOT_APPLYING[revision].keys() <= failed.keys(), "these are listed as not applying, and pass"


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_sidecar_itself_passes_what_needs_no_tools_of_the_suites_own(
    suite: Path, tmp_path: Path, revision: str
) -> None:
    port = free_port()
    configuration = tmp_path / "configuration.json"
    agent = Agent(namespace="team-a", name="alice", uid="a-1")
    configuration.write_bytes(msgspec.json.encode(Configuration(version="1", agent=agent)))
    variables = {
        "RINGFENCE_SIDECAR_CONFIGURATION_FILE": str(configuration),
        "RINGFENCE_SIDECAR_PORT": str(port),
        "RINGFENCE_SIDECAR_HEALTH_PORT": str(free_port()),
    }

    found = {}
    async with serving(port, "-m", "ringfence_sidecar", **variables) as url:
        for name in ON_THE_PRODUCT[revision]:
            found[name] = await asyncio.to_thread(run_one, suite, url, revision, name, tmp_path / name)

    assert {name: faults for name, faults in found.items() if faults} == {}
