"""Flux's example leads to folders of this tree, and waits in an order that has an end."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BODIES: list[dict[str, Any]] = [
    body for path in sorted((ROOT / "examples/gitops/flux").iterdir()) for body in yaml.safe_load_all(path.read_text())
]
STEPS = {each["metadata"]["name"]: each["spec"] for each in BODIES if each["kind"] == "Kustomization"}


def test_every_path_is_one_that_kustomize_builds() -> None:
    assert [spec["path"] for spec in STEPS.values() if not (ROOT / spec["path"] / "Kustomization").is_file()] == []


def test_each_source_is_one_of_the_example() -> None:
    sources = {each["metadata"]["name"] for each in BODIES if each["kind"] == "GitRepository"}

    assert {spec["sourceRef"]["name"] for spec in STEPS.values()} == sources


def test_agents_come_after_the_operator_and_production_after_staging() -> None:
    waits = {name: [each["name"] for each in spec.get("dependsOn", ())] for name, spec in STEPS.items()}

    assert waits == {
        "ringfence": [],
        "agents-staging": ["ringfence"],
        "agents-production": ["ringfence", "agents-staging"],
    }
    assert all(spec["wait"] for spec in STEPS.values())
