import json
from pathlib import Path
from typing import Any

import pytest

from tools import cilium_schema

CRD: dict[str, Any] = {
    "spec": {
        "versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": {"type": "string"}}},
            {
                "name": "v2",
                "schema": {
                    "openAPIV3Schema": {
                        "description": "A policy.",
                        "type": "object",
                        "properties": {
                            "description": {"description": "What it is for.", "type": "string"},
                            "egress": {"description": "Out.", "items": {"description": "One.", "type": "object"}},
                        },
                    }
                },
            },
        ]
    }
}
BARE: dict[str, Any] = {
    "type": "object",
    "properties": {"description": {"type": "string"}, "egress": {"items": {"type": "object"}}},
}


def test_the_schema_is_kept_without_its_descriptions_and_with_properties_of_that_name() -> None:
    assert cilium_schema.schema_of(CRD) == BARE


def test_each_version_is_written_to_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cilium_schema, "FOLDER", tmp_path / "cilium")
    monkeypatch.setattr(cilium_schema, "_fetch", lambda _: CRD)

    cilium_schema.main(["v1.0.0", "v1.1.0"])

    written = {each.name: json.loads(each.read_text()) for each in (tmp_path / "cilium").iterdir()}
    assert written == {f"ciliumnetworkpolicies-{version}.json": BARE for version in ("v1.0.0", "v1.1.0")}
