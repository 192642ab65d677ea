"""Real back ends and real sidecars on loopback, and nothing of Kubernetes."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.environment import product_python
from bench.report import Measured
from bench.sidecar.priority import is_first, let_others_first
from bench.sidecar.process import Sidecar
from bench.usage import Busy
from devcluster.backends import ensure_backends
from devcluster.step import Progress
from ringfence_sidecar.configuration import Agent, Configuration, Connector, Limit, LocalCache, Redis
from tests.backends.rabbitmq_server import RabbitMQServer, running_rabbitmq
from tests.backends.redis_server import RedisServer, running_redis
from tests.backends.snowflake_server import SnowflakeServer, running_snowflake
from tests.sidecar.connectors.rabbitmq.workbench import configuration as rabbitmq_configuration
from tests.sidecar.connectors.snowflake.bench import configuration as snowflake_configuration

DATABASE = "SALES"
LOCAL_BYTES = 16_777_216
EXACT = ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction")
"""Lines of a Redis that has after a restart what it had."""
_REDIS = ("maxmemory 2gb", "maxmemory-policy noeviction")
CREDITS_PER_SECOND = 1
"""Of the warehouse."""


class Bed(Measured):
    """What a measurement starts ends with its `scope`."""

    def __init__(self, progress: Progress, *, is_quick: bool = False) -> None:
        super().__init__(progress, is_quick=is_quick)
        self._stack = contextlib.ExitStack()
        self._directory = Path()
        self.python = Path()
        """The interpreter that has the sidecar."""
        self._pids: dict[str, int] = {}

    def open(self) -> None:
        """Have the back ends and the sidecar installed."""
        ensure_backends(self.progress)
        with self.progress.step("the sidecar, as its image has it"):
            self.python = product_python("sidecar")

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """End within it what was started within it."""
        with contextlib.ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-sidecar-")))
            self._stack, self._pids = stack, {}
            yield

    def count(self, full: int, quick: int) -> int:
        """Return how many samples are taken."""
        return quick if self.is_quick else full

    def snowflake(self) -> tuple[SnowflakeServer, int]:
        """Start a stand-in for Snowflake; returns it and its pid."""
        server, process = self._stack.enter_context(running_snowflake())
        self._pids[f"snowflake-{len(self._pids) + 1}"] = process.pid
        if is_first():
            let_others_first(process.pid)
        return server, process.pid

    def redis(self, *lines: str) -> RedisServer:
        """Start a Redis; `lines` are of its configuration."""
        return self._stack.enter_context(running_redis(self.directory("redis"), *(lines or _REDIS)))

    def rabbitmq(self) -> RabbitMQServer:
        """Start a RabbitMQ."""
        return self._stack.enter_context(running_rabbitmq(self.directory("rabbitmq")))

    def sidecar(self, configuration: Configuration) -> Sidecar:
        """Begin to start a sidecar."""
        sidecar = Sidecar(self.python, self._directory, configuration)
        self._stack.callback(sidecar.end)
        sidecar.begin()
        self._pids[f"sidecar-{len(self._pids) + 1}"] = sidecar.pid
        return sidecar

    def warehouse(self, *servers: SnowflakeServer, name: str = "warehouse", **changes: Any) -> Connector:
        """Return a Connector of kind `snowflake`: one endpoint for each server, the first preferred."""
        endpoints = [
            {
                "name": f"warehouse-{number}",
                "host": "127.0.0.1",
                "port": server.port,
                "tls": False,
                "priority": number,
                "settings": {
                    "account": f"acme-{number}",
                    "warehouse": "reading",
                    "creditsPerHour": 3600 * CREDITS_PER_SECOND,
                },
            }
            for number, server in enumerate(servers, 1)
        ]
        changes = {"name": name, "uid": f"uid-of-{name}", "endpoints": endpoints, **changes}
        return snowflake_configuration(servers[0].port, DATABASE, self.directory("snowflake"), **changes)

    def broker(self, server: RabbitMQServer, **changes: Any) -> Connector:
        """Return a Connector of kind `rabbitmq`, named `events`."""
        return rabbitmq_configuration(self.directory("rabbitmq"), server, **changes)

    def directory(self, name: str) -> Path:
        """Return a directory that lasts as long as the scope."""
        made = self._directory / name
        made.mkdir(exist_ok=True)
        return made

    def busy(self) -> "Interval":
        """Begin to look at how busy the machine is."""
        return Interval(self._pids)


class Interval:
    """From its making to `note`."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before, self._began = Busy.now(pids), time.monotonic()
        self._own = _own_cpu()

    def note(self) -> str:
        """Say how busy the machine was, with what, and what it was like at the end."""
        seconds, load = time.monotonic() - self._began, _own_cpu() - self._own
        said = Busy.now(self._pids).since(self._before, seconds=seconds, load=load)
        first = ", before all others (SCHED_RR)" if is_first() else ""
        return f"{said}, client {load:.1f}; load average {os.getloadavg()[0]:.1f}{first}"


def _own_cpu() -> float:
    """Return CPU seconds of this process, and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def configuration(
    *connectors: Connector,
    agent: str = "bench",
    redis: Redis | None = None,
    local_bytes: int = LOCAL_BYTES,
    limits: tuple[Limit, ...] = (),
) -> Configuration:
    """Return what the operator would hand to the agent's sidecar."""
    return Configuration(
        version="1",
        agent=Agent(namespace="team-a", name=agent, uid=f"uid-of-{agent}"),
        connectors=connectors,
        redis=redis,
        local_cache=LocalCache(max_bytes=local_bytes),
        limits=limits,
    )
