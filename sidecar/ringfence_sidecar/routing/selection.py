"""The order in which a call tries endpoints."""

import math
from collections.abc import Callable, Iterable

from ringfence_sidecar.configuration import Endpoint


def in_order(endpoints: Iterable[Endpoint], draw: Callable[[], float]) -> list[Endpoint]:
    """Return the endpoints by priority; within one, an endpoint comes first as often as its share of the weight.

    `draw` returns random numbers from [0, 1). Weight 0 comes after all others of its priority.
    """
    return sorted(endpoints, key=lambda endpoint: (endpoint.priority, _arrival(endpoint.weight, draw)))


def _arrival(weight: int, draw: Callable[[], float]) -> float:
    """Return when the first event of a Poisson process of that rate comes: the chance to be first is the weight's."""
    return -math.log(1.0 - draw()) / weight if weight > 0 else math.inf
