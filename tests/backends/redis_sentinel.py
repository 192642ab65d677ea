"""A real Sentinel on loopback, which only answers to a user that may ask who is master."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.backends.redis_server import ADMINISTRATOR, RedisServer
from tests.backends.waiting import until
from tests.ports import free_port

USER, PASSWORD = "ringfence", "sentinel-password"
RIGHTS = "-@all +auth +ping +sentinel|masters +sentinel|replicas +sentinel|get-master-addr-by-name"
"""As docs/operations/shared-services.md says."""


@contextmanager
def running_sentinel(directory: Path, server: RedisServer) -> Iterator[int]:
    """Have a Sentinel that knows `server` as `main` until the block ends; yields its port."""
    port = free_port()
    configuration = directory / "sentinel.conf"
    lines = [
        *(f"port {port}", "bind 127.0.0.1", f"dir {directory}"),
        *("user default off", f"user {USER} on >{PASSWORD} {RIGHTS}"),
        *(f"sentinel monitor main 127.0.0.1 {server.port} 1", f"sentinel auth-pass main {ADMINISTRATOR}"),
    ]
    configuration.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(["redis-server", configuration, "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, username=USER, password=PASSWORD, protocol=2, driver_info=None) as client:
            until(lambda: _answers(client), what="the sentinel answers")
        yield port
    finally:
        process.kill()
        process.wait(10)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
