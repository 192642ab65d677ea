"""promtool for the tests of dashboards and alerts: built where it is missing."""

from pathlib import Path

import pytest

from devcluster.binaries import binary, build
from devcluster.step import Progress

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of a test's time that promtool may have to be built for it; that is bounded by itself."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(120, func_only=True))


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The pinned promtool."""
    build(["promtool"], Progress("promtool"))
    return binary("promtool")
