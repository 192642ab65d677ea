"""Agents at work: most call a broker in the cluster, some one outside, by the egress gateway."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.upgrade.bed import Bed
from tests.backends.rabbitmq_server import PASSWORD, USER, VIRTUAL_HOST
from tests.e2e.connectors.callers import Caller, publishing
from tests.e2e.connectors.calls import rabbitmq
from tests.e2e.connectors.outside import Place, rabbitmq_outside
from tests.e2e.world import World

EVERY = 1.0
RESOURCES = {"requests": {"cpu": "2m", "memory": "16Mi"}}
STARTED_SECONDS = 600
"""Fifty pods with two containers each, on two CPUs."""
Fleet = dict[str, list[Caller]]
"""Callers by where their broker is."""


@contextmanager
def fleet(bed: Bed, count: int) -> Iterator[Fleet]:
    """So many agents that publish a message once a second; a fifth of them outside."""
    few, namespace = count // 5, bed.namespace()
    with (
        tempfile.TemporaryDirectory(prefix="ringfence-") as scratch,
        rabbitmq_outside(bed.cluster, Path(scratch)) as place,
        World(bed.kube, namespace) as inside,
        World(bed.kube, namespace) as beyond,
    ):
        yield {
            "in the cluster": _callers(inside, rabbitmq(inside), count - few),
            "outside": _callers(beyond, _outside(beyond, place), few),
        }


def _callers(world: World, connector: str, count: int) -> list[Caller]:
    return publishing(world, connector, count, every=EVERY, seconds=STARTED_SECONDS, resources=RESOURCES)


def _outside(world: World, place: Place) -> str:
    secret = world.named("Secret", "outside", stringData={"password": PASSWORD, "ca.crt": place.authority})
    auth = {"secretName": secret["metadata"]["name"], "password": {"user": USER}, "authority": "ca.crt"}
    endpoint = {"name": "main", "host": place.host, "port": place.port, "virtualHost": VIRTUAL_HOST}
    return rabbitmq(world, endpoints=[endpoint], auth=auth)
