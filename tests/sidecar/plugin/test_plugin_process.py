import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from tests.backends.waiting import eventually
from tests.ports import free_port
from tests.sidecar.plugin.bed import configuration, connector, endpoint
from tests.sidecar.plugin.installation import install
from tests.sidecar.plugin.server import Server, running


@contextmanager
def sidecar(directory: Path, packages: Path, port: int, health_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A sidecar's process, with a third party's packages beside its own."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(Path("sidecar").resolve()), str(packages)]),
        "RINGFENCE_SIDECAR_CONFIGURATION_FILE": str(directory / "configuration.json"),
        "RINGFENCE_SIDECAR_PORT": str(port),
        "RINGFENCE_SIDECAR_HEALTH_HOST": "127.0.0.1",
        "RINGFENCE_SIDECAR_HEALTH_PORT": str(health_port),
        "RINGFENCE_SIDECAR_POD": "alice-0",
    }
    with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
        process = subprocess.Popen([sys.executable, "-m", "ringfence_sidecar"], env=environment, stdout=out, stderr=err)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def is_bound(url: str) -> bool:
    try:
        return "store" in httpx.get(f"{url}/v1/connectors", timeout=2).text
    except httpx.HTTPError:
        return False


def verify(log: Path) -> "subprocess.CompletedProcess[bytes]":
    """What the command says of a process that has ended in order."""
    command = [sys.executable, "-m", "ringfence_sidecar.audit", "verify", "--complete", str(log)]
    return subprocess.run(command, env={"PYTHONPATH": "sidecar"}, capture_output=True, timeout=30, check=False)


async def test_a_third_partys_kind_works_in_the_sidecars_process_and_its_calls_are_in_a_chain_that_verifies(
    tmp_path: Path,
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    install(packages)
    server, port = Server({"p-colour": "blue"}), free_port()
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "configuration.json").write_bytes(msgspec.json.encode(configuration(connector(endpoint(server)))))

    async with running(server):
        with sidecar(tmp_path, packages, port, free_port()) as process:
            await eventually(lambda: is_bound(url), what="the connector is bound", seconds=30)
            async with httpx.AsyncClient(base_url=url, timeout=10) as agent:
                answer = await agent.post("/v1/connectors/store/get", json={"key": "colour"})
                refused = await agent.post("/v1/connectors/store/get", json={"key": "secret-of-bob"})
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: process.poll() is not None, what="the process has ended", seconds=20)

    verified = verify(tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines() if '"event":"call"' in line]
    assert (answer.status_code, answer.json()["data"]) == (200, {"value": "blue"})
    assert refused.status_code == 403
    assert [(line["operation"], line["outcome"]) for line in lines] == [("get", "ok"), ("get", "refused")]
    assert verified.returncode == 0, verified.stderr
