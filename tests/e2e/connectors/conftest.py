"""For tests of connectors, with operator, gateway and sidecars as they are installed."""

from collections.abc import Iterator

import pytest

from tests.e2e.connectors.fixtures import backends
from tests.e2e.installation import Installation
from tests.e2e.kube import Kube
from tests.e2e.together import MakeWorld
from tests.e2e.world import World

__all__ = ["alone", "backends", "world"]


@pytest.fixture
def world(kube: Kube, namespace: str, installed: Installation, backends: None) -> MakeWorld:
    """For tests that run side by side."""
    return lambda: World(kube, namespace)


@pytest.fixture
def alone(kube: Kube, namespace: str, installed: Installation, backends: None) -> Iterator[World]:
    """A world for a test that counts writes."""
    with World(kube, namespace) as world:
        yield world
