"""One replica of the operator, run from source with the rights and the identity that it has in a cluster."""

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.environment import product_python
from bench.usage import Use
from devcluster.api import Api
from devcluster.cluster import REPOSITORY, Cluster

NAMESPACE = "ringfence-system"
ACCOUNT = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/ringfence-operator"


class Replica:
    """A process of the operator; `credential` is what the audit log calls it, `settings` come besides the usual."""

    def __init__(self, cluster: Cluster, identity: str, directory: Path, **settings: str) -> None:
        token = _token(Api(cluster))
        self.identity = identity
        self.credential = f"JTI={_claims(token)['jti']}"
        self._log = directory / f"{identity}.log"
        self._kubeconfig = cluster.state / f"bench-{identity}.kubeconfig"
        self._kubeconfig.touch(mode=0o600)
        self._kubeconfig.write_text(json.dumps(_kubeconfig(cluster, token)))
        self._port = _free_port()
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> "Replica":
        """Start the process."""
        settings = {"IDENTITY": self.identity, "NAMESPACE": NAMESPACE, "HTTP_PORT": str(self._port), **self._settings}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
        environment = {f"RINGFENCE_OPERATOR_{name}": value for name, value in settings.items()}
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(product_python("operator")), "-m", "ringfence_operator"],
                cwd=REPOSITORY / "operator",
                env={**inherited, **environment, "KUBECONFIG": str(self._kubeconfig)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        """The process's id. Raises RuntimeError before `start`."""
        if self._child is None:
            raise RuntimeError(f"replica {self.identity} has not been started")
        return self._child.pid

    def use(self) -> Use:
        """Return what the process has used so far."""
        return Use.of(self.pid)

    def wait_ready(self, *, timeout: float = 60) -> None:
        """Return once its caches follow."""
        self._wait(lambda: self._get("/readyz") is not None, "ready", timeout)

    def wait_leading(self, *, timeout: float = 60) -> None:
        """Return once it holds the Lease."""
        self._wait(self._leads, "leading", timeout)

    def wait_idle(self, *, passes: int = 0, timeout: float = 120) -> None:
        """Return once its queue is empty after at least `passes` passes."""
        self._wait(lambda: self.passes() >= passes and self.gauge("workqueue_depth") == 0, "idle", timeout)

    def passes(self) -> float:
        """Return how many passes it has made."""
        return self.gauge("controller_runtime_reconcile_time_seconds_count")

    def gauge(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        lines = (line for line in self.metrics().splitlines() if line.startswith((f"{name}{{", f"{name} ")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def metrics(self) -> str:
        """Return what it tells Prometheus; nothing while it does not answer."""
        return self._get("/metrics") or ""

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL, 10)

    def stop(self) -> None:
        """End it as the kubelet does."""
        self._end(signal.SIGTERM, 30)

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-800:]

    def _leads(self) -> bool:
        return self.gauge("leader_election_master_status") == 1

    def _end(self, number: signal.Signals, timeout: float) -> None:
        if self._child is None or self._child.poll() is not None:
            return
        self._child.send_signal(number)
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None

    def _wait(self, is_true: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not is_true():
            if self._child is not None and self._child.poll() is not None:
                raise RuntimeError(f"replica {self.identity} ended: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"replica {self.identity} not {what} within {timeout:.0f} s: {self.log_tail()}")
            time.sleep(0.05)


def _token(api: Api) -> str:
    """Return a token for the operator's ServiceAccount; each has an identity of its own in the audit log."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    status, text = api.request("POST", f"{ACCOUNT}/token", request)
    if status != 201:
        raise RuntimeError(f"no token for the operator: {status} {text}")
    return str(json.loads(text)["status"]["token"])


def _claims(token: str) -> dict[str, str]:
    payload = token.split(".")[1]
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _kubeconfig(cluster: Cluster, token: str) -> dict[str, object]:
    authority = base64.b64encode((cluster.pki / "ca.crt").read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": cluster.server, "certificate-authority-data": authority}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "operator"}}],
        "current-context": "bench",
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
