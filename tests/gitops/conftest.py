"""The program that judges: built where it is missing."""

from pathlib import Path

import pytest

from devcluster.binaries import build
from devcluster.step import Progress

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the first test's time that the program may have to be built for it; that is bounded by itself."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session", autouse=True)
def judge() -> None:
    """Have the program."""
    build(["judge"], Progress("judge"))
