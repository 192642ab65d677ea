"""One replica of the operator, started from source as a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".logs" / "e2e"
SYSTEM_NAMESPACE = "ringfence-system"
PREFIX = "RINGFENCE_OPERATOR_"
ENDING_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""A replica that outlived a killed test run would keep the Lease."""


class Replica:
    """Settings are given as Settings' field names in lower case."""

    def __init__(self, kubeconfig: Path, identity: str, **settings: str) -> None:
        self.identity = identity
        self.port = free_port()
        self._kubeconfig = kubeconfig
        # It has no control process beside it, as an installed one has.
        usual = {"namespace": SYSTEM_NAMESPACE, "log_level": "debug", "egress_backend": "none"}
        self._settings = {**usual, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return LOGS / f"{self.identity}.log"

    def start(self) -> None:
        """Start the process; returns at once."""
        LOGS.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        given = {**self._settings, "identity": self.identity, "http_port": str(self.port)}
        env = {
            **kept,
            **{PREFIX + name.upper(): value for name, value in given.items()},
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*ENDING_WITH_US, sys.executable, "-m", "ringfence_operator"], env=env, stdout=log, stderr=log, cwd=ROOT
            )

    def stop(self) -> float:
        """Ask it to end, and return the seconds that it took."""
        began = time.monotonic()
        self._end(signal.SIGTERM)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_leader(self) -> bool:
        """True once it holds the Lease and its workers run."""
        if not self.is_running:
            return False
        return self.metric("leader_election_master_status") == 1

    def metric(self, name: str) -> float | None:
        """Return the sum of the metric's samples; None if the replica does not answer."""
        try:
            text = self.fetch("/metrics")
        except OSError:
            return None
        return metric_in(text, name)

    def fetch(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def until_leader(self, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_leader:
            assert self.is_running, f"{self.identity} ended; see {self.log}"
            assert time.monotonic() < deadline, f"{self.identity} does not lead after {seconds} s; see {self.log}"
            time.sleep(0.05)

    def until_ready(self, *, seconds: float = 60) -> None:
        """Return once its caches are full, whether it leads or not."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.fetch("/readyz")
            except OSError:
                assert self.is_running, f"{self.identity} ended; see {self.log}"
                assert time.monotonic() < deadline, f"{self.identity} is not ready after {seconds} s; see {self.log}"
                time.sleep(0.05)
            else:
                return

    def logged(self, event: str) -> list[dict[str, object]]:
        """Return the log's records of one event."""
        lines = self.log.read_text().splitlines()
        records = (json.loads(line) for line in lines if line.startswith("{"))
        return [record for record in records if record.get("event") == event]

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
        self._process.wait(timeout=30)


def metric_in(text: str, name: str, labels: str = "") -> float:
    """Return the sum of a metric's samples whose labels contain `labels`."""
    samples = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")) and labels in line]
    return sum(float(line.rpartition(" ")[2]) for line in samples)
