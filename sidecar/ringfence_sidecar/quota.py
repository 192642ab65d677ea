"""The pipeline's quota step. Without a Quota, the step is left out."""

from collections.abc import Mapping
from typing import Protocol

from ringfence_sidecar.call import Call
from ringfence_sidecar.envelope import Notice


class Reservation(Protocol):
    """What a call has been granted until it is settled."""

    async def settle(self, used: Mapping[str, float]) -> tuple[Notice, ...]:
        """Replace the estimate by what was really used; nothing, for a call that did nothing."""


class Quota(Protocol):
    """Grants what calls may use."""

    async def reserve(self, call: Call, estimate: Mapping[str, float]) -> Reservation:
        """Grant all of `estimate`, or raise LimitedError and grant nothing."""
