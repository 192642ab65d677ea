"""For tests of what quotas leave of calls, with operator, sidecars and Redis as they are installed."""

from tests.e2e.connectors.conftest import alone, backends, world

__all__ = ["alone", "backends", "world"]
