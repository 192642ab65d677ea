"""On the real node: how long from a claim until the user's command runs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.egress.bed import Bed
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from devcluster.product_images import starter
from devcluster.up import load_images
from tests.e2e.installation import manifests
from tests.e2e.kube import Body
from tests.e2e.pools.pools import Claimed, PoolHandle, claimant, lines, pool
from tests.e2e.world import World

SIZE = 10
SAMPLES, QUICK_SAMPLES = 50, 5
P50_MS, P99_MS = 100, 300
REST_SECONDS = 0.5
SAY_THE_TIME = "date +%s%N"
"""In nanoseconds since 1970, before anything else; a shell and this program are part of what is measured."""


class RealNode(Bed):
    """The product as it is installed, with its starter, and a node whose pods have processes."""

    def manifests(self, images: dict[str, str]) -> list[Body]:
        """Return what is installed, with the images by their names."""
        image = starter()
        load_images(self.cluster, self.progress, [image])
        return manifests({**images, "starter": image.reference})


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds after the POST was sent, by the machine's one clock."""

    running: float
    """When the user's command said that it runs."""
    ready: float
    """When a watch showed the agent Ready."""


def measure_node(bed: RealNode) -> Iterator[Row]:
    """One claim after the other, the pool full before each, so that no pod starts beside it."""
    count = bed.count(SAMPLES, QUICK_SAMPLES)
    before, began = bed.busy(), time.monotonic()
    with World(bed.kube, bed.namespace()) as world:
        of = pool(world, SIZE)
        found = []
        # The first one is not counted: connections are opened by it.
        for number in range(count + 1):
            of.until_warm(SIZE)
            bed.rest(REST_SECONDS)
            found.append(_claim(world, of, f"agent-{number}"))
        del found[0]
    bed.keep("node", [(each.running, each.ready) for each in found])
    yield from rows(found, bed.busy().since(before, seconds=time.monotonic() - began))


def rows(found: list[Sample], note: str) -> list[Row]:
    """Return what these samples say."""
    running, ready = [each.running for each in found], [each.ready for each in found]
    what = f"real node, pool of {SIZE}, {len(found)} claims: POST sent -> the command runs, p50"
    return [
        at_most(what, round(quantile(running, 0.5), 1), P50_MS, "ms", note),
        at_most("  p99", round(quantile(running, 0.99), 1), P99_MS, "ms"),
        for_comparison("  -> Ready seen by a watch, p50", round(quantile(ready, 0.5), 1), "ms"),
        for_comparison("  p99", round(quantile(ready, 0.99), 1), "ms"),
    ]


def _claim(world: World, of: PoolHandle, name: str) -> Sample:
    """Claim a pod, and give it back once its command has said when it began."""
    began = time.time_ns()
    agent = claimant(world, of, SAY_THE_TIME, name)
    got = Claimed(agent, agent.until_ready())
    ready = time.time_ns()
    (said,) = lines(got)
    agent.delete()
    got.pod.until_gone()
    return Sample((int(said) - began) / 1e6, (ready - began) / 1e6)
