"""The operator's writes that last, by the API server's audit log."""

import time

from tests.e2e.writes import AuditLog, Write


def lasting(audit: AuditLog, mark: int) -> list[Write]:
    """Return the operator's writes since then; a review of a token is kept nowhere."""
    return [each for each in audit.writes_since(mark) if "tokenreviews" not in each.path]


def until_quiet(audit: AuditLog, *, seconds: float = 7) -> str:
    """Return the time of the last write once there was none for so long; figures may wait for 30 s to be told."""
    deadline = time.monotonic() + 180
    seen, since = len(lasting(audit, 0)), time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < deadline, lasting(audit, 0)[-5:]
        time.sleep(0.5)
        if len(lasting(audit, 0)) != seen:
            seen, since = len(lasting(audit, 0)), time.monotonic()
    return lasting(audit, 0)[-1].time
