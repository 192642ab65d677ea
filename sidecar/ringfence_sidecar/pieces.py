"""A stream's quota: each piece is paid for by itself, since nobody knows how many there will be."""

from collections.abc import Mapping
from dataclasses import replace

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Outcome, Prepared
from ringfence_sidecar.grants import Grants
from ringfence_sidecar.metering import Metering
from ringfence_sidecar.passage import Passage
from ringfence_sidecar.settlement import Settlement


class Pieces:
    """What the pieces of one stream cost. `context` is the connector's: its grants are those of the next piece."""

    def __init__(
        self, metering: Metering, settlement: Settlement, passage: Passage, prepared: Prepared, context: Context
    ) -> None:
        self._metering = metering
        self._settlement = settlement
        self._passage = passage
        self._prepared = prepared
        # Of its own: it changes with each piece.
        self.context = replace(context, grants=Grants())

    async def begin(self) -> None:
        """Take what the call costs, and its first piece. Raises LimitedError."""
        deadline = self.context.deadline
        await self._metering.begin(self._passage, deadline)
        self.context.grants.renew(await self._metering.work(self._passage, self._prepared, deadline))

    async def came(self, piece: Outcome) -> None:
        """Note what a piece has used: it is settled at once if the next one has to be asked for."""
        passage = self._passage
        if self._is_reserved and self._metering.can_renew(self._prepared):
            await self._settlement.piece(passage, piece.used)
            passage.used = dict.fromkeys(self._prepared.estimate, 0)
        else:
            passage.used = _sum(passage.used or {}, piece.used)

    async def went(self, piece: Outcome) -> None:
        """Take what the next piece costs, if there is one and the last was settled. Raises LimitedError."""
        if piece.last or self._is_reserved or not self._metering.can_renew(self._prepared):
            return
        grants = await self._metering.renew(self._passage, self._prepared, self.context.deadline)
        self.context.grants.renew(grants)

    @property
    def _is_reserved(self) -> bool:
        return any(each.is_piece for each in self._passage.reservations)


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {each: one.get(each, 0) + other.get(each, 0) for each in {**one, **other}}
