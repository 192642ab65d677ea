"""What tests with operator and gateway as they are installed begin with."""

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation
from tests.e2e.kube import Kube
from tests.e2e.together import MakeWorld
from tests.e2e.world import World


@pytest.fixture
def world(kube: Kube, namespace: str, installed: Installation) -> MakeWorld:
    """For tests that run side by side."""
    return lambda: World(kube, namespace)


@pytest.fixture
def alone(kube: Kube, namespace: str, installed: Installation) -> Iterator[World]:
    """A world for a test that measures time, or breaks what others need."""
    with World(kube, namespace) as world:
        yield world
