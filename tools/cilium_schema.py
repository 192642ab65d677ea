"""Fetch what Cilium publishes as the form of a CiliumNetworkPolicy: `python -m tools.cilium_schema [VERSION…]`.

The tests hold what the operator writes against it. Kept are the schemas alone, without their descriptions: they are
Cilium's, under the Apache License 2.0. The go command fetches the module, and checks it by the checksum database.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests/operator/resources/cilium"
MODULE = "github.com/cilium/cilium"
FILE = "pkg/k8s/apis/cilium.io/client/crds/v2/ciliumnetworkpolicies.yaml"
VERSIONS = ("v1.19.0", "v1.20.2")
"""The oldest that the operator works with, and the newest that was looked at."""


def schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of version v2 without descriptions."""
    version = next(each for each in crd["spec"]["versions"] if each["name"] == "v2")
    return _bare(version["schema"]["openAPIV3Schema"])  # type: ignore[no-any-return]


def _bare(node: Any) -> Any:
    """Return `node` without descriptions; one that is not a text is a property of that name."""
    if isinstance(node, list):
        return [_bare(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: _bare(value) for key, value in node.items() if not (key == "description" and isinstance(value, str))}


def _fetch(version: str) -> dict[str, Any]:
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@{version}"], check=True, capture_output=True, text=True
    )
    return yaml.safe_load((Path(json.loads(answer.stdout)["Dir"]) / FILE).read_text())  # type: ignore[no-any-return]


def main(versions: list[str]) -> int:
    """Write the schema of each version."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for version in versions or VERSIONS:
        text = json.dumps(schema_of(_fetch(version)), separators=(",", ":"), sort_keys=True)
        (FOLDER / f"ciliumnetworkpolicies-{version}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
