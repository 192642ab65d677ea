"""For tests of what quotas leave of the network, with operator and gateway as they are installed."""

from tests.e2e.egress.fixtures import alone, world

__all__ = ["alone", "world"]
