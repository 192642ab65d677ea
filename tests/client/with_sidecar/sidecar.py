"""The sidecar as a process of its own, as a pod has it, and the Connectors that it is told of."""

import contextlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ringfence_sidecar.configuration import Configuration, Connector, Limit, Redis
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.snowflake_server import SnowflakeServer
from tests.backends.waiting import until
from tests.ports import free_port
from tests.sidecar.connectors.rabbitmq.workbench import AGENT
from tests.sidecar.connectors.rabbitmq.workbench import configuration as rabbitmq_configuration
from tests.sidecar.connectors.snowflake.bench import configuration as snowflake_configuration

ROOT = Path(__file__).resolve().parents[3]
DATABASE = "SALES"


class Sidecar:
    """A running one; what it says goes into files of its directory."""

    def __init__(self, directory: Path, configuration: Configuration) -> None:
        self.port, self._health_port = free_port(), free_port()
        self._directory = directory
        self._file = directory / "configuration.json"
        self.configure(configuration)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What an agent finds in RINGFENCE_API_URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The audit lines of calls."""
        lines = map(msgspec.json.decode, (self._directory / "audit").read_bytes().splitlines())
        return [line for line in lines if line["event"] == "call"]

    def audited(self, request_id: str) -> dict[str, Any]:
        """Return the audit line of a call, which may come a little later than its answer; those before it are there."""
        until(lambda: any(each["requestId"] == request_id for each in self.calls), what="the audit has the call")
        return next(each for each in self.calls if each["requestId"] == request_id)

    def configure(self, configuration: Configuration) -> None:
        """Have it do this; one that runs sees it soon."""
        partial = self._file.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(configuration))
        partial.replace(self._file)

    def start(self) -> None:
        """Start it, and wait until it takes calls."""
        variables = {
            "CONFIGURATION_FILE": str(self._file),
            "PORT": str(self.port),
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": str(self._health_port),
            "LOG_LEVEL": "warning",
        }
        environment = {f"RINGFENCE_SIDECAR_{name}": value for name, value in variables.items()}
        environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "sidecar"), "PYTHONUNBUFFERED": "1"}
        argv = [sys.executable, "-m", "ringfence_sidecar"]
        with (self._directory / "audit").open("ab") as audit, (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, env=environment, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=audit, stderr=log
            )
        until(self._is_ready, what="the sidecar takes calls")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._health_port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


@contextlib.contextmanager
def running_sidecar(directory: Path, configuration: Configuration) -> Iterator[Sidecar]:
    """Have one until the block ends."""
    directory.mkdir(exist_ok=True)
    sidecar = Sidecar(directory, configuration)
    try:
        sidecar.start()
        yield sidecar
    finally:
        sidecar.kill()


def configuration(
    *connectors: Connector, redis: Redis | None = None, limits: tuple[Limit, ...] = (), version: str = "1"
) -> Configuration:
    """Return what the operator would hand to the sidecar."""
    return Configuration(version=version, agent=AGENT, connectors=connectors, redis=redis, limits=limits)


def warehouse(directory: Path, server: SnowflakeServer, name: str = "sales") -> Connector:
    """A Connector of kind `snowflake` that may do much in `DATABASE`."""
    directory.mkdir(exist_ok=True)
    return snowflake_configuration(
        server.port, DATABASE, directory, name=name, uid=f"uid-of-{name}", cache={"ttlSeconds": 60}
    )


def events(directory: Path, server: RabbitMQServer, name: str = "events") -> Connector:
    """A Connector of kind `rabbitmq` that may do everything."""
    directory.mkdir(exist_ok=True)
    return rabbitmq_configuration(directory, server, name=name, uid=f"uid-of-{name}")
