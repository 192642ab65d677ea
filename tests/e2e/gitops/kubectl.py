"""kubectl, as a person or a pipeline would call it."""

import subprocess
import time
from pathlib import Path

from devcluster.binaries import binary


class Kubectl:
    """Calls kubectl with the rights of the cluster's administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self._argv = [str(binary("kube")), "kubectl", f"--kubeconfig={kubeconfig}"]

    def run(self, *arguments: str | Path, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Return how it ended, whether well or not."""
        argv = [*self._argv, *map(str, arguments)]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120, check=False)

    def output(self, *arguments: str | Path, stdin: str = "") -> str:
        """Return what it printed; it must end well."""
        ran = self.run(*arguments, stdin=stdin)
        assert ran.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {ran.stderr or ran.stdout}"
        return ran.stdout

    def until(self, wanted: str, *arguments: str | Path, seconds: float = 20) -> None:
        """Return once it prints this, as what it asks may have to hear of a change first."""
        deadline = time.monotonic() + seconds
        while (said := self.run(*arguments).stdout.strip()) != wanted:
            assert time.monotonic() < deadline, f"kubectl {' '.join(map(str, arguments))} still says {said}"
            time.sleep(0.2)
