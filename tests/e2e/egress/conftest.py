"""For tests of the egress gateway, with operator and gateway as they are installed."""

from tests.e2e.egress.fixtures import alone, world

__all__ = ["alone", "world"]
