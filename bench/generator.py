"""Creates objects at a given rate and says when each was seen ready (the Go program in load/)."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.quantile import quantile
from devcluster.cluster import REPOSITORY, Cluster, cache_home
from devcluster.command import run

SOURCE = REPOSITORY / "bench/load"
Steps = Mapping[str, Sequence[Mapping[str, Any]]]
"""By object's name: what is asked after its POST, each as {method, path, type, body}."""


@dataclass(frozen=True)
class Sample:
    """One object: milliseconds after the start; what never came is -1."""

    name: str
    sent: float
    acked: float
    ready: float
    error: str

    @property
    def latency(self) -> float:
        """Milliseconds from sending the POST to seeing the object ready."""
        return self.ready - self.sent


@dataclass(frozen=True)
class Load:
    """One run's result; `started` is Unix seconds, `breaks` how often the server ended the watch as too slow."""

    started: float
    cpu: float
    breaks: int
    samples: list[Sample]

    @classmethod
    def from_json(cls, text: str) -> "Load":
        """Read what the program printed."""
        said: dict[str, Any] = json.loads(text)
        samples = [
            Sample(each["name"], each["sent_ms"], each["acked_ms"], each["ready_ms"], each.get("error", ""))
            for each in said["samples"]
        ]
        return cls(said["started_unix_ns"] / 1e9, said["cpu_s"], said["watch_breaks"], samples)

    @property
    def failures(self) -> list[str]:
        """Names of the objects that were refused or never became ready."""
        return [f"{each.name} {each.error}".rstrip() for each in self.samples if each.error or each.ready < 0]

    @property
    def all_ready(self) -> float:
        """Seconds from the start to the last object's being ready."""
        return max(each.ready for each in self.samples) / 1000

    def ready(self, share: float) -> float:
        """Return a quantile of create -> Ready in milliseconds; an object that never was ready counts as endless."""
        return quantile((each.latency if each.ready >= 0 else float("inf") for each in self.samples), share)

    def acked(self, share: float) -> float:
        """Return a quantile of the POST alone, in milliseconds."""
        return quantile((each.acked - each.sent for each in self.samples), share)


class Running:
    """A run under way."""

    def __init__(self, child: "subprocess.Popen[bytes]", output: Path) -> None:
        self._child = child
        self._output = output

    def result(self, *, timeout: float = 600) -> Load:
        """Wait for its end. Raises RuntimeError if it failed and TimeoutExpired if it takes too long."""
        try:
            code = self._child.wait(timeout)
        finally:
            self.stop()
        if code != 0:
            raise RuntimeError(f"the load generator failed: {self._output.with_suffix('.log').read_text()[-600:]}")
        return Load.from_json(self._output.read_text())

    def stop(self) -> None:
        """End it if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


class Generator:
    """Starts runs against one cluster."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._binary = cache_home() / "bench/load"

    def build(self) -> None:
        """Compile the program; takes a second when nothing has changed."""
        run(["go", "build", "-trimpath", "-o", str(self._binary), "."], cwd=SOURCE, timeout=300)

    def start(
        self,
        collection: str,
        manifest: dict[str, Any],
        *,
        prefix: str,
        count: int,
        rate: float = 0,
        groups: int = 1,
        condition: str = "Ready",
        steps: Steps | None = None,
    ) -> Running:
        """Begin to create `count` objects, `rate` a second or all at once, in the collection at this API path.

        Awaited is `condition`, which samples call ready. By turns the objects are of one of `groups` groups: {group} in
        the manifest is its number. After its POST come each one's `steps`, in which {uid} and {version} are its own.
        """
        output = Path(tempfile.mkdtemp(dir=self._directory)) / f"{prefix}.json"
        template = output.with_suffix(".manifest")
        template.write_text(json.dumps(manifest))
        pki = self._cluster.pki
        flags: dict[str, Any] = {
            "server": self._cluster.server,
            "ca": pki / "ca.crt",
            "cert": pki / "admin.crt",
            "key": pki / "admin.key",
            "collection": collection,
            "manifest": template,
            "prefix": prefix,
            "count": count,
            "rate": rate,
            "groups": groups,
            "condition": condition,
        }
        if steps is not None:
            flags["steps"] = output.with_suffix(".steps")
            flags["steps"].write_text(json.dumps(steps))
        argv = [str(self._binary), *(f"-{flag}={value}" for flag, value in flags.items())]
        with output.open("wb") as out, output.with_suffix(".log").open("wb") as errors:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        return Running(child, output)
