"""kubectl, as a person would call it; every call and its answer goes to a log."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from demo.errors import CommandError, DemoError

NAMESPACE = "ringfence-demo"
Raw = dict[str, Any]


class Kubectl:
    """Calls kubectl in the demo's namespace."""

    def __init__(self, kubeconfig: Path, tools: Path, log: Path) -> None:
        bundled = tools / "kubectl"
        program = str(bundled) if bundled.exists() else shutil.which("kubectl")
        if program is None:
            raise DemoError("kubectl is not installed: https://kubernetes.io/docs/tasks/tools/")
        self._argv = [program, f"--kubeconfig={kubeconfig}"]
        self._log = log

    def run(self, *arguments: str, namespace: str = NAMESPACE, stdin: str | None = None, seconds: float = 60) -> str:
        """Return what kubectl printed. Raises CommandError with what it complained of."""
        argv = [*self._argv, *([f"--namespace={namespace}"] if namespace else []), *arguments]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False, input=stdin or "")
        except subprocess.TimeoutExpired:
            raise CommandError(f"kubectl {' '.join(arguments)}: no end within {seconds:.0f} s") from None
        with self._log.open("a") as log:
            log.write(f"$ kubectl -n {namespace} {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        if done.returncode != 0:
            raise CommandError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return str(done.stdout)

    def get(self, kind: str, name: str, *, namespace: str = NAMESPACE) -> Raw | None:
        """Return an object, or None if there is none."""
        text = self.run("get", kind, name, "--output=json", "--ignore-not-found", namespace=namespace)
        found: Raw | None = json.loads(text) if text.strip() else None
        return found

    def items(self, kinds: str, *selectors: str, namespace: str = NAMESPACE) -> list[Raw]:
        """Return the objects of one or more kinds."""
        items: list[Raw] = json.loads(self.run("get", kinds, "--output=json", *selectors, namespace=namespace))["items"]
        return items

    def apply(self, *paths: Path) -> None:
        """Apply manifests; each object says its namespace."""
        self.run("apply", *(f"--filename={path}" for path in paths), namespace="")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start kubectl and return the process, whose output is to be read line by line."""
        argv = [*self._argv, f"--namespace={NAMESPACE}", *arguments]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(argv, text=True, **streams)  # type: ignore[call-overload, no-any-return]
