"""Snapshots: what a builder returned when somebody last looked at it.

To write them anew: `UPDATE_SNAPSHOTS=1 pytest tests/operator/resources/test_pod.py`, then look at the difference.
"""

import json
import os
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "snapshots"


def assert_snapshot(name: str, value: Any) -> None:
    """Fail if `value` is not what `snapshots/<name>.json` says."""
    path = _FOLDER / f"{name}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    assert json.loads(json.dumps(value)) == json.loads(path.read_text())
