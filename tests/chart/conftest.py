"""Helm for the chart's tests: built where it is missing."""

from pathlib import Path

import pytest

from devcluster.binaries import build
from devcluster.step import Progress

HERE = Path(__file__).parent
TEST_SECONDS = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the first test's time that Helm may have to be built for it; that is bounded by itself."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


@pytest.fixture(scope="session", autouse=True)
def helm() -> None:
    """Have the pinned Helm."""
    build(["helm"], Progress("Helm"))
