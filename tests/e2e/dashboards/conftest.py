"""For tests of dashboards: a real run of what is installed, and a real Prometheus that scrapes it."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devcluster.binaries import binary, build
from devcluster.step import Progress
from tests.e2e.connectors.conftest import backends
from tests.e2e.dashboards.deeds import Deeds, begun
from tests.e2e.dashboards.prometheus import Prometheus, running
from tests.e2e.installation import Installation
from tests.e2e.kube import Kube
from tests.e2e.world import World

__all__ = ["backends"]
HERE = Path(__file__).parent
TEST_SECONDS = 120
TURNS = int(os.environ.get("RINGFENCE_TEST_TURNS") or 4)
DATA = os.environ.get("RINGFENCE_TEST_METRICS")
"""A folder that keeps what Prometheus scraped, of which `python -m tools.pictures` makes pictures."""
JOBS = {"ringfence", "ringfence-sidecars"}


@dataclass(frozen=True, slots=True)
class Watched:
    """What has happened, and who watched."""

    deeds: Deeds
    prometheus: Prometheus


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the first test's time that Prometheus may have to be built for it; that is bounded by itself."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True), append=False)


@pytest.fixture(scope="module")
def prometheus(
    kubeconfig: Path, installed: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus, which scrapes what is installed."""
    build(["prometheus"], Progress("Prometheus"))
    folder = Path(DATA) if DATA else tmp_path_factory.mktemp("prometheus")
    with running(binary("prometheus"), kubeconfig, folder) as found:
        yield found


@pytest.fixture(scope="module")
def watched(kube: Kube, namespace: str, backends: None, prometheus: Prometheus) -> Iterator[Watched]:
    """A run in which each counter has grown while somebody watched."""
    with World(kube, namespace) as world:
        deeds = begun(world)
        for turn in range(TURNS):
            deeds.again(turn)
            prometheus.until_scraped(after=time.time(), jobs=JOBS)
        if DATA:
            (Path(DATA) / "end").write_text(str(time.time()))
        yield Watched(deeds, prometheus)
