"""Make docs/images/dashboards anew: python -m tools.pictures [--metrics FOLDER] [--out FOLDER].

It runs the tests of the dashboards on the cluster for some minutes, with a Prometheus that keeps what it scrapes, and
draws each dashboard, wide and narrow, in a headless Chromium: with Grafana's own panels (`@grafana/ui`) in a page of
ours (`page/`), since Grafana itself is in no package index. With --metrics, it draws what an earlier run has left.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.pictures.drawn import draw

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "docs/images/dashboards"
TURNS = "40"
"""How often the run does what it does: enough for lines to be lines."""


def main(arguments: list[str]) -> int:
    """Make the pictures; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__.split("\n")[0])
    parser.add_argument("--metrics", type=Path, help="folder of an earlier run's Prometheus")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the pictures")
    said = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        metrics = said.metrics or Path(temporary)
        if said.metrics is None:
            print("… a run for them: a few minutes on the cluster", flush=True)
            environment = {**os.environ, "RINGFENCE_TEST_METRICS": temporary, "RINGFENCE_TEST_TURNS": TURNS}
            test = [sys.executable, "-m", "pytest", "-q", "tests/e2e/dashboards", "--timeout=1200"]
            subprocess.run(test, cwd=ROOT, env=environment, check=True)
        for picture in draw(metrics, said.out):
            print(f"✓ {picture}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
