import pytest

from tests.cli.cluster import Cluster


@pytest.fixture
def cluster() -> Cluster:
    """With our kinds, and no objects yet."""
    return Cluster.empty()


@pytest.fixture
def healthy() -> Cluster:
    """As a real cluster answered once: all is installed, and two agents run."""
    return Cluster.recorded()
