"""The long-running parts of a cluster: started once, found again by pid and start time."""

import hashlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devcluster.cluster import Cluster
from devcluster.errors import ApiUnavailableError, DevclusterError
from devcluster.file import write
from devcluster.network import pids_in


@dataclass(frozen=True)
class Process:
    """A program of the cluster, run in one of its network namespaces."""

    name: str
    argv: list[str]
    netns: str
    env: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()  # configuration whose change means a restart

    def digest(self) -> str:
        """Return a hash that changes when the process must be started anew."""
        said = hashlib.sha256(json.dumps([self.argv, self.netns, self.env]).encode())
        for path in self.files:
            said.update(path.read_bytes())
        return said.hexdigest()


@dataclass(frozen=True)
class Running:
    """A process that was started, as recorded on disk."""

    name: str
    pid: int
    started: int
    digest: str

    def is_alive(self) -> bool:
        """True while the very process that was started still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """Return when the process was started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def running(cluster: Cluster) -> dict[str, Running]:
    """Return what was started and has not been stopped by us, alive or not, by name."""
    found = {}
    for path in sorted((cluster.state / "processes").glob("*.json")):
        try:
            record = Running(**json.loads(path.read_text()))
        except (ValueError, TypeError):
            continue  # written by a killed `up`; the process is found by its namespace
        found[record.name] = record
    return found


def ensure_running(cluster: Cluster, process: Process) -> bool:
    """Start `process` unless it runs already just as it should; return True if it was started."""
    record = running(cluster).get(process.name)
    digest = process.digest()
    if record and record.is_alive():
        if record.digest == digest:
            return False
        stop(cluster, record)
    _end_strays(process)
    log = cluster.logs / f"{process.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{process.netns}", "--", *process.argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **process.env},
            cwd="/",
        )
    started = start_time(child.pid)
    if started is None:
        raise DevclusterError(f"{process.name} ended at once; see {log}")
    _record(cluster, Running(process.name, child.pid, started, digest))
    return True


def _end_strays(process: Process) -> None:
    """End what an `up` had started when it was killed, before it could write that down."""
    command = "\0".join([*process.argv, ""])
    for pid in pids_in(process.netns):
        with suppress(FileNotFoundError, ProcessLookupError):
            started = start_time(pid)
            if started is not None and Path(f"/proc/{pid}/cmdline").read_text() == command:
                end(pid, started, grace=1)


def stop(cluster: Cluster, record: Running, *, grace: float = 10) -> None:
    """End the process: SIGTERM, after `grace` seconds SIGKILL; forget it."""
    if record.is_alive():
        end(record.pid, record.started, grace=grace)
    (cluster.state / "processes" / f"{record.name}.json").unlink(missing_ok=True)


def end(pid: int, started: int, *, grace: float) -> None:
    """End the process that has this pid and start time, and no other."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_time(pid) != started:  # the pid has been given to somebody else
            return
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            if number is signal.SIGTERM and grace <= 0:
                continue
            signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], patience)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def wait_for(what: str, is_true: Callable[[], bool], *, timeout: float, step: float = 0.05) -> None:
    """Return when `is_true()`; DevclusterError after `timeout` seconds. An API server out of reach is no answer."""
    deadline = time.monotonic() + timeout
    while True:
        with suppress(ApiUnavailableError):
            if is_true():
                return
        if time.monotonic() > deadline:
            raise DevclusterError(f"{what}: not within {timeout:.0f} s")
        time.sleep(step)


def _record(cluster: Cluster, record: Running) -> None:
    write(cluster.state / "processes" / f"{record.name}.json", json.dumps(asdict(record)))
