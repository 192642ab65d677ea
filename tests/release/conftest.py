"""Helm for the tests of what a release is made of: built where it is missing."""

import pytest

from devcluster.binaries import build
from devcluster.step import Progress


@pytest.fixture(scope="session")
def helm() -> None:
    """Have the pinned Helm."""
    build(["helm"], Progress("Helm"))
