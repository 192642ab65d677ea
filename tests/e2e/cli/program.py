"""The command line as people start it: a process of its own, and what came of it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Return what `-o json` printed."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Program:
    """`ringfence`, with a kubeconfig and a namespace."""

    kubeconfig: Path
    namespace: str
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start it; its output comes by pipes."""
        ours = {"PYTHONPATH": str(ROOT / "client"), "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.Popen(
            [sys.executable, "-m", "ringfence_cli", "--namespace", self.namespace, *words],
            env={**os.environ, **ours, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, seconds: float = 90) -> Ran:
        """Run it to its end."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=seconds)
            finally:
                process.kill()
        return Ran(process.returncode, out, err)
