"""The control process, run from source, and what it is fed where no operator runs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.environment import product_python
from bench.usage import Use
from devcluster.cluster import REPOSITORY

_NICE = 3
"""In its pod it asks for half of the cores that the operator asks for, and gets half where there are too few."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a control process listens."""

    socket: Path
    xds: int
    sidecars: int
    http: int

    @classmethod
    def beside(cls, directory: Path) -> "Ports":
        """Return ports of this run, with the socket in `directory`."""
        base = 20_000 + os.getpid() % 2_000 * 4
        return cls(directory / "control.sock", base, base + 1, base + 2)


class ControlServer:
    """One control process; `use` is what it has used so far."""

    def __init__(self, child: "subprocess.Popen[bytes]", ports: Ports) -> None:
        self._child = child
        self.ports = ports

    def use(self) -> Use:
        """Return what the process has used so far."""
        return Use.of(self._child.pid)


@contextmanager
def control_server(ports: Ports, log: Path) -> Iterator[ControlServer]:
    """Run it until the block ends; it is ready once an operator has found its socket."""
    settings = {
        "SOCKET": str(ports.socket),
        "PORT": str(ports.xds),
        "SIDECAR_PORT": str(ports.sidecars),
        "HTTP_PORT": str(ports.http),
        "LOG_LEVEL": "warning",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["nice", "-n", str(_NICE), str(product_python("operator")), "-m", "ringfence_operator.control"],
            cwd=REPOSITORY / "operator",
            env=inherited | {f"RINGFENCE_CONTROL_{name}": value for name, value in settings.items()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield ControlServer(child, ports)
    finally:
        child.terminate()
        child.wait(20)
