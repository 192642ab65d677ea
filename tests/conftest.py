"""What the tests that need a cluster share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Of an example, too, nothing is asserted about time: the machine may be busy.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

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
