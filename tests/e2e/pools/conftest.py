"""For tests of pools, with operator, gateway and starter as they are installed."""

from tests.e2e.connectors.fixtures import backends
from tests.e2e.egress.fixtures import alone, world

__all__ = ["alone", "backends", "world"]
