"""Back ends in the network namespace that plays the outside, each with a certificate of an authority of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.backends import fakesnow
from devcluster.cluster import Cluster
from tests.backends.certificates import issue
from tests.e2e.replica import ROOT


@dataclass(frozen=True, slots=True)
class Place:
    """Where a back end is, and the authority that its certificate comes from."""

    host: str
    address: str
    port: int
    authority: str


@contextmanager
def snowflake_outside(cluster: Cluster, directory: Path) -> Iterator[Place]:
    """The stand-in for Snowflake, over TLS, at a name of the outside."""
    host, address, port = "api.test", "203.0.113.11", 9443
    issued = issue(directory, address, host)
    listening = ("--host", address, "--port", str(port))
    argv = ("-m", "tests.backends.snowflake", *listening, "--certificate", str(issued.certificate))
    with _running(cluster, *argv, "--key", str(issued.key), path=f"{fakesnow()}{os.pathsep}{ROOT}"):
        yield Place(host, address, port, issued.authority.read_text())


@contextmanager
def rabbitmq_outside(cluster: Cluster, directory: Path) -> Iterator[Place]:
    """A RabbitMQ, over TLS, at a name of the outside."""
    host, address, port = "files.test", "203.0.113.12", 5671
    argv = ("-m", "tests.e2e.connectors.outside_broker", str(directory), address, str(port), host)
    with _running(cluster, *argv, path=os.pathsep.join(map(str, (ROOT, ROOT / "gateway", ROOT / "sidecar")))):
        yield Place(host, address, port, (directory / "tls/ca.pem").read_text())


@contextmanager
def _running(cluster: Cluster, *argv: str, path: str) -> Iterator[None]:
    """Run a program of Python's until the block ends, once it says that it is ready."""
    entering = ("nsenter", f"--net=/run/netns/{cluster.outside_netns}", "--")
    process = subprocess.Popen(
        [*entering, sys.executable, *argv],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "ready"
        yield
    finally:
        process.stdin.close()  # those that hold children end by this
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()
