"""The gateway's pods and their processes, found on this machine by the pod's cgroup."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.usage import Use
from tests.e2e.kube import Body


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """A replica of the gateway; pids of its two processes, 0 for one that does not run."""

    name: str
    uid: str
    envoy: int
    names: int
    pids: tuple[int, ...]

    @classmethod
    def of(cls, pod: Body) -> "GatewayPod":
        """Look for the pod's processes."""
        uid = pod["metadata"]["uid"]
        commands = {pid: _command(pid) for pid in pids_of(uid)}
        return cls(
            name=pod["metadata"]["name"],
            uid=uid,
            envoy=_first(pid for pid, words in commands.items() if words[:1] == ["/usr/local/bin/envoy"]),
            names=_first(pid for pid, words in commands.items() if words[-2:] == ["-m", "ringfence_gateway"]),
            pids=tuple(commands),
        )

    def envoy_use(self) -> Use:
        """Return what Envoy has used so far."""
        return Use.of(self.envoy)

    def names_use(self) -> Use:
        """Return what the process beside it has used so far."""
        return Use.of(self.names)

    def kill(self, pids: Iterable[int] | None = None) -> None:
        """End all its processes, or these, as a crash would."""
        for pid in self.pids if pids is None else pids:
            # What was found a moment ago may have ended, and its number may be another's by now.
            if pid in pids_of(self.uid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def pids_of(uid: str) -> list[int]:
    """Return the processes in the cgroup of the pod with this uid."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cgroup") if f"/pod{uid}/" in _text(path)]


def _first(found: Iterable[int]) -> int:
    return next(iter(found), 0)


def _command(pid: int) -> list[str]:
    return _text(Path(f"/proc/{pid}/cmdline")).rstrip("\0").split("\0")


def _text(path: Path) -> str:
    """Return nothing for a process that has just ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
