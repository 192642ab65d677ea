"""What each test of the library begins with. Nothing here needs more than the library does: see `make client-test`."""

from collections.abc import Mapping
from typing import Any

import pytest

from ringfence.local import LOCAL


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """What one test has kept in this process is none of the next one's."""
    LOCAL.clear()


@pytest.fixture
def lines() -> list[Mapping[str, Any]]:
    """What a connection logs."""
    return []
