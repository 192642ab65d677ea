"""What Flux and Argo CD make of objects: the one by the kstatus library, the other by our scripts."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.binaries import binary

SCRIPTS = Path(__file__).resolve().parents[2] / "deploy/argocd"
SAME = {
    ("Current", "Healthy"),
    ("Current", "Suspended"),
    ("InProgress", "Progressing"),
    ("Failed", "Degraded"),
    ("Terminating", "Progressing"),
}
"""Words of kstatus and of Argo CD that do not contradict each other."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Their words for one object, and what they say besides."""

    kstatus: str
    kstatus_message: str
    argo: str
    argo_message: str


def judged(objects: Iterable[dict[str, Any]]) -> list[Verdict]:
    """Return the verdict on each of the objects."""
    lines = "".join(f"{json.dumps(each)}\n" for each in objects)
    ran = subprocess.run(
        [binary("judge"), SCRIPTS], input=lines, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    answers = map(json.loads, ran.stdout.splitlines())
    return [
        Verdict(each["kstatus"]["status"], each["kstatus"]["message"], each["argo"]["status"], each["argo"]["message"])
        for each in answers
    ]
