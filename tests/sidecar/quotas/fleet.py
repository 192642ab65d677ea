"""Many processes that call under the same limits, who watches that none is passed, and what they have written down."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import redis

from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.quotas.buckets import Bucket
from tests.backends.redis_server import RedisServer
from tests.sidecar.quotas.worker import Setting

ROOT = Path(__file__).parents[3]


@dataclass(slots=True)
class Book:
    """What workers wrote, added up by resource."""

    settled: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    """Of workers that were killed while they said it."""
    refusals: Counter[str] = field(default_factory=Counter)
    calls: int = 0


class Worker:
    """One process."""

    def __init__(self, directory: Path, setting: Setting, python: str = sys.executable) -> None:
        self.log = Path(setting.log)
        file = directory / f"{self.log.stem}.json"
        file.write_bytes(msgspec.json.encode(setting))
        argv = [python, "-m", "tests.sidecar.quotas.worker", str(file)]
        path = f"{ROOT}:{ROOT / 'sidecar'}"
        with self.log.with_suffix(".err").open("ab") as errors:
            self._process = subprocess.Popen(
                argv, cwd=ROOT, env={"PYTHONPATH": path, "PATH": "/usr/bin"}, stderr=errors
            )

    def kill(self) -> None:
        """End it as a process ends that runs out of memory."""
        self._process.kill()
        self._process.wait(10)

    def begin_end(self) -> None:
        """Tell it to end."""
        self._process.terminate()

    def end(self) -> int:
        """Wait until it has; returns its exit code."""
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


class Fleet:
    """Workers, which are killed and replaced."""

    def __init__(self, directory: Path, server: RedisServer, limits: Sequence[Limit], **options: Any) -> None:
        self._directory, self._server, self._limits, self._options = directory, server, tuple(limits), options
        self._number = 0
        self.workers: list[Worker] = []
        self.logs: list[Path] = []

    def start(self, count: int) -> None:
        """Start so many more."""
        for _ in range(count):
            self._number += 1
            log = self._directory / f"worker-{self._number}.log"
            setting = Setting(
                redis=self._server.configuration(),
                limits=self._limits,
                agent=f"agent-{self._number}",
                log=str(log),
                seed=self._number,
                **self._options,
            )
            self.workers.append(Worker(self._directory, setting))
            self.logs.append(log)

    def kill(self, worker: Worker) -> None:
        """Kill one, and start another in its place."""
        worker.kill()
        self.workers.remove(worker)
        self.start(1)

    def end(self) -> list[int]:
        """End all in order; returns their exit codes."""
        for each in self.workers:
            each.begin_end()
        codes = [each.end() for each in self.workers]
        self.workers.clear()
        return codes

    def book(self) -> Book:
        """Return what all have written."""
        book = Book()
        for log in self.logs:
            if log.exists():
                _read(log.read_text().splitlines(), book)
        return book


class Watch:
    """Looks at the buckets all the time, whatever becomes of the server."""

    def __init__(self, server: RedisServer, limits: Iterable[Limit], agents: Sequence[str] = ()) -> None:
        """`agents` are UIDs: a limit of each agent is looked at for each of them, by the name `resource/UID`."""
        self._server = server
        self._limits: dict[str, tuple[str, Limit]] = {}
        for limit in limits:
            for agent in ("",) if limit.shared else agents:
                name = f"{limit.resource}/{agent}" if agent else limit.resource
                self._limits[f"rf:{{team-a}}:{Bucket.of(limit, agent).key}"] = name, limit
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.looks = 0
        self.passed: list[str] = []
        self.highest: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    def look(self, client: "redis.Redis") -> dict[str, float]:
        """Return what is used and granted of each limit, in the same moment."""
        found: Any = client.eval(_LOOK, len(self._limits), *self._limits)
        return {name: float(text) for (name, _), text in zip(self._limits.values(), found, strict=True)}

    def _run(self) -> None:
        with self._server.client() as client:
            while not self._end.wait(0.003):
                try:
                    found = self.look(client)
                except redis.RedisError:
                    continue
                self.looks += 1
                for name, limit in self._limits.values():
                    value = found[name]
                    self.highest[name] = max(self.highest.get(name, 0.0), value)
                    if value > limit.max:
                        self.passed.append(f"{name}: {value} of {limit.max}")


_LOOK = """
local found = {}
for i, key in ipairs(KEYS) do
  local total, all = 0, redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    if all[at] == 'r' or string.sub(all[at], 1, 2) == 's:' then total = total + tonumber(all[at + 1]) end
  end
  found[i] = string.format('%.6f', total)
end
return found
"""
"""Adds up by itself: for limits whose window does not end while it looks."""


def _read(lines: Sequence[str], book: Book) -> None:
    said: Counter[str] = Counter()
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "-":
            book.refusals[rest] += 1
            continue
        amounts = Counter(msgspec.json.decode(rest, type=dict[str, float]))
        if kind == "?":
            said.update(amounts)
        else:
            said.subtract(amounts)
            book.settled.update(amounts)
            book.calls += 1
    book.unsure.update(said)
