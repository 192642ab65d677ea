"""Lots: what one call, or one thing that is held, was granted of all its buckets."""

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.quota import Nothing

if TYPE_CHECKING:
    from ringfence_sidecar.quotas.quota import Quotas


class Lot:
    """A `Reservation`; settled from the start, it is no more than a `Held`."""

    __slots__ = ("_id", "_is_settled", "_quotas", "_released", "grants", "may_warn", "warnings")

    def __init__(
        self,
        quotas: "Quotas",
        lot: str,
        grants: Mapping[str, float] | None = None,
        warnings: tuple[Notice, ...] = (),
        *,
        may_warn: bool = False,
        is_settled: bool = False,
    ) -> None:
        self._quotas, self._id = quotas, lot
        self._is_settled = is_settled
        self._released = 0.0
        self.grants = grants or {}
        self.warnings, self.may_warn = warnings, may_warn

    def settle(self, used: Mapping[str, float]) -> Coroutine[Any, Any, tuple[Notice, ...]]:
        """Replace what was granted by what was really used; the first time counts."""
        if self._is_settled:
            return Nothing().settle(used)
        self._is_settled = True
        return self._quotas.settle(self._id, used, may_warn=self.may_warn, released=self._released)

    async def release(self, amount: float) -> None:
        """Give back some of what is held; before it is settled, all is granted still, and this is subtracted then."""
        if self._is_settled:
            await self._quotas.release(self._id, amount)
        else:
            self._released += amount
