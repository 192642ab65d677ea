"""A sidecar as it runs in a pod: a process of its own, told what to do by a file."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import msgspec

from bench.sidecar.client import Client
from ringfence_sidecar.configuration import Configuration
from tests.ports import free_port

_START_SECONDS = 60.0
_STEP_SECONDS = 0.002


class Sidecar:
    """One process; what it says goes into files of its directory."""

    def __init__(self, python: Path, directory: Path, configuration: Configuration) -> None:
        self._python = python
        self.port, self._health_port = free_port(), free_port()
        self.client = Client(self.port)
        self._health = Client(self._health_port)
        self._directory = directory / f"sidecar-{self.port}"
        self._directory.mkdir()
        self._file = self._directory / "configuration.json"
        self.configure(configuration)
        self._process: subprocess.Popen[bytes] | None = None
        self.audits: list[Path] = []
        """What each of its processes said of calls, the first one's first."""

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def configure(self, configuration: Configuration) -> None:
        """Have it do this from now on; one that runs sees it within a quarter of a second."""
        partial = self._file.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(configuration))
        partial.replace(self._file)

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        variables = {
            "CONFIGURATION_FILE": str(self._file),
            "PORT": str(self.port),
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": str(self._health_port),
            "LOG_LEVEL": "warning",
        }
        environment = {f"RINGFENCE_SIDECAR_{name}": value for name, value in variables.items()}
        environment |= {"PATH": os.environ["PATH"], "HOME": str(self._directory), "PYTHONUNBUFFERED": "1"}
        argv = [str(self._python), "-m", "ringfence_sidecar"]
        self.audits.append(self._directory / f"audit-{len(self.audits) + 1}")
        with self.audits[-1].open("ab") as audit, (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, env=environment, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=audit, stderr=log
            )

    async def ready(self) -> None:
        """Return once /readyz says so. Raises RuntimeError with the log's end if it never does."""
        assert self._process is not None
        request = self._health.rest("GET", "/readyz")
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if (await self._health.send(request)).status == 200:
                    return
            except ConnectionError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sidecar is not ready: {self.log[-1000:]}")
            await asyncio.sleep(_STEP_SECONDS)

    async def bound(self, *connectors: str) -> None:
        """Return once the connectors answer that they are there, with operations."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                found = (await self.client.send(self.client.rest("GET", "/v1/connectors"))).body
                if all(b'"' + name.encode() + b'"' in found for name in connectors):
                    return
                await asyncio.sleep(0.05)

    @property
    def log(self) -> str:
        """What it has complained about."""
        return (self._directory / "log").read_text()

    def kill(self) -> None:
        """End it as a process ends that runs out of memory."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def end(self) -> None:
        """Tell it to stop; kill it if it does not."""
        self.client.close()
        self._health.close()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
