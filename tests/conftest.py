"""What the tests that need a cluster share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """`$KUBECONFIG`, or the development cluster's."""
    path = Path(os.environ.get("KUBECONFIG") or ROOT / ".devcluster" / "dev.kubeconfig")
    if not path.is_file():
        pytest.fail(
            f"no cluster to test against ({path} does not exist): run make up, or set KUBECONFIG", pytrace=False
        )
    return path
