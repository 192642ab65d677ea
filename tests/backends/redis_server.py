"""A real Redis on loopback, which a test may kill and start anew."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from ringfence_sidecar.configuration import Redis
from tests.backends.waiting import until
from tests.ports import free_port

ADMINISTRATOR = "administrator-password"


class RedisServer:
    """One server, empty at each start. `extra` are further lines of its configuration."""

    def __init__(self, directory: Path, *extra: str) -> None:
        self.port = free_port()
        self.tls_port = 0
        self._directory = directory
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As a sidecar's configuration names it."""
        return f"redis://127.0.0.1:{self.port}"

    def configuration(self, namespace: str = "team-a", **fields: str) -> Redis:
        """Return what the operator would hand to a sidecar of the namespace."""
        made = {"url": self.url, "username": "", "password": ADMINISTRATOR, "prefix": f"rf:{{{namespace}}}:"}
        return Redis(**{**made, **fields})

    def client(self) -> "redis.Redis":
        """Return the administrator's own client."""
        return redis.Redis(port=self.port, password=ADMINISTRATOR, socket_timeout=5)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        lines = ["bind 127.0.0.1", 'save ""', f"dir {self._directory}", f"requirepass {ADMINISTRATOR}", *self._extra]
        configuration = self._directory / f"redis-{self.port}.conf"
        configuration.write_text("\n".join([f"port {self.port}", *lines]) + "\n")
        with (self._directory / f"redis-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", configuration], stdout=log, stderr=log)
        with self.client() as client:
            until(lambda: _answers(client), what="Redis answers")

    def kill(self) -> None:
        """End it at once, with all that it holds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Have it answer nothing, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@contextmanager
def running_redis(directory: Path, *extra: str) -> Iterator[RedisServer]:
    """Have a server until the block ends."""
    server = RedisServer(directory, *extra)
    server.start()
    try:
        yield server
    finally:
        server.kill()
