"""A Redis on loopback and what counts in it, and nothing of Kubernetes."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.report import Measured
from bench.sidecar.bed import Interval
from devcluster.backends import ensure_backends
from devcluster.step import Progress
from tests.backends.redis_server import RedisServer, running_redis

EXACT = ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction")


class Bed(Measured):
    """What a measurement starts ends with its `scope`."""

    def __init__(self, progress: Progress, *, is_quick: bool = False) -> None:
        super().__init__(progress, is_quick=is_quick)
        self._stack = contextlib.ExitStack()
        self.directory = Path()
        """Lasts as long as the scope."""

    def open(self) -> None:
        """Have the back ends installed."""
        ensure_backends(self.progress)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """End within it what was started within it."""
        with contextlib.ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-quota-")))
            self._stack = stack
            yield

    def redis(self, *lines: str) -> RedisServer:
        """Start a Redis."""
        return self._stack.enter_context(running_redis(self.directory, *lines))

    def count(self, full: int, quick: int) -> int:
        """Return how many samples are taken."""
        return quick if self.is_quick else full

    def busy(self) -> Interval:
        """Begin to look at how busy the machine is."""
        return Interval({})
