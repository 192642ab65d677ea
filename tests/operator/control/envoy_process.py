"""The real Envoy, started with the bootstrap that is installed, at addresses of the test's own."""

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from tests.operator.control.operator_side import SECONDS

BOOTSTRAP = Path(__file__).resolve().parents[3] / "gateway/ringfence_gateway/bootstrap"
ENVOY = Path(str(files("envoy") / "_bin/envoy"))


@dataclass(frozen=True, slots=True)
class Envoy:
    process: asyncio.subprocess.Process
    admin: Path

    def ask(self, path: str) -> str:
        """Return what the admin endpoint answers."""
        connection = http.client.HTTPConnection("admin", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(self.admin))
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def updates(self) -> dict[str, int]:
        """Return how often each kind of configuration was updated."""
        stats = json.loads(self.ask("/stats?format=json"))["stats"]
        return {each["name"]: each["value"] for each in stats if "name" in each}


def write_bootstrap(folder: Path, *, control: int, als: Path) -> Path:
    """Write what is installed, for this folder's sockets and certificates and a control server on loopback."""
    run = folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    for name in ("certificate.yaml", "authority.yaml"):
        text = (BOOTSTRAP / name).read_text().replace("/etc/ringfence/tls", str(folder / "tls"))
        (folder / name).write_text(text)
    text = (BOOTSTRAP / "bootstrap.yaml").read_text()
    text = text.replace("/run/ringfence/als.sock", str(als)).replace("/run/ringfence", str(run))
    bootstrap: Any = yaml.safe_load(text.replace("/etc/ringfence/envoy", str(folder)))
    cluster = bootstrap["static_resources"]["clusters"][0]
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": control}
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(bootstrap))
    return path


@asynccontextmanager
async def envoy(folder: Path, *, control: int, als: Path, replica: str = "gateway-0") -> AsyncIterator[Envoy]:
    bootstrap = write_bootstrap(folder, control=control, als=als)
    process = await asyncio.create_subprocess_exec(
        ENVOY, "-c", bootstrap, "--service-node", f"{replica}/envoy", "--service-cluster", "ringfence-gateway",
        "--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart", "--drain-time-s", "1",
        "--drain-strategy", "immediate", "--file-flush-interval-msec", "100", "-l", "info",
        "--component-log-level", "misc:error",
        "--log-path", folder / "envoy.log",
    )  # fmt: skip
    try:
        found = Envoy(process, folder / "run/admin.sock")
        async with asyncio.timeout(SECONDS):
            while not found.admin.exists():
                assert process.returncode is None, (folder / "envoy.log").read_text()[-2000:]
                await asyncio.sleep(0.02)
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
