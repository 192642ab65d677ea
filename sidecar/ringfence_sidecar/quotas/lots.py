"""Lots: what one call, or one thing that is held, was granted of all its buckets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ringfence_sidecar.envelope import Notice

if TYPE_CHECKING:
    from ringfence_sidecar.quotas.quota import Quotas


class Lot:
    """A `Reservation`; settled from the start, it is no more than a `Held`."""

    __slots__ = ("_id", "_is_settled", "_quotas", "_released", "grants", "warnings")

    def __init__(
        self,
        quotas: "Quotas",
        lot: str,
        grants: Mapping[str, float] | None = None,
        warnings: tuple[Notice, ...] = (),
        *,
        is_settled: bool = False,
    ) -> None:
        self._quotas, self._id = quotas, lot
        self._is_settled = is_settled
        self._released = 0.0
        self.grants = grants or {}
        self.warnings = warnings

    async def settle(self, used: Mapping[str, float]) -> tuple[Notice, ...]:
        """Replace what was granted by what was really used; the first time counts."""
        if self._is_settled:
            return ()
        self._is_settled = True
        return await self._quotas.settle(self._id, used, released=self._released)

    async def release(self, amount: float) -> None:
        """Give back some of what is held; before it is settled, all is granted still, and this is subtracted then."""
        if self._is_settled:
            await self._quotas.release(self._id, amount)
        else:
            self._released += amount
