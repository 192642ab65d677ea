"""The quota that the configuration in force asks for: nothing, where it has no limits, and nothing is imported then."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ringfence_sidecar.configuration import Configuration, LimitUse
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quota import Ask, Budget, Left, Nothing, Policy, Reservation

if TYPE_CHECKING:
    from ringfence_sidecar.quotas.quota import Quotas


class Limiter:
    """A `Quota` that is there from the start, whether any limit holds or not."""

    def __init__(self) -> None:
        self._quotas: Quotas | None = None

    async def apply(self, configuration: Configuration) -> None:
        """Keep the configuration's limits from now on. Calls under way are settled where they were granted."""
        if self._quotas is None:
            if not configuration.limits:
                return
            from ringfence_sidecar.quotas.quota import Quotas  # noqa: PLC0415 - for agents that have limits

            self._quotas = Quotas()
        await self._quotas.apply(configuration.limits, configuration.agent, configuration.redis)

    def limits(self, resource: str) -> bool:
        """See Quota."""
        return self._quotas is not None and self._quotas.limits(resource)

    async def reserve(self, ask: Ask) -> Reservation:
        """See Quota."""
        return Nothing() if self._quotas is None else await self._quotas.reserve(ask)

    async def hold(self, resource: str, amount: float) -> Reservation:
        """See Quota."""
        return Nothing() if self._quotas is None else await self._quotas.hold(resource, amount)

    def refused(self, error: LimitedError) -> None:
        """See Quota."""
        if self._quotas is not None:
            self._quotas.refused(error)

    async def budgets(self) -> tuple[Budget, ...]:
        """See Quota."""
        return () if self._quotas is None else await self._quotas.budgets()

    def known(self) -> tuple[Budget, ...]:
        """See Quota."""
        return () if self._quotas is None else self._quotas.known()

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What of the limits stays as it is; another object as soon as any has changed."""
        return () if self._quotas is None else self._quotas.policies

    def left(self) -> Sequence[Left]:
        """Return where each of the `policies` stands, as of this pod's last answer."""
        return () if self._quotas is None else self._quotas.left()

    def uses(self) -> Sequence[LimitUse]:
        """Return what this pod has used, for the operator, where no Redis says it."""
        return () if self._quotas is None else self._quotas.uses()

    async def close(self) -> None:
        """End, and give back what this pod holds."""
        if self._quotas is not None:
            await self._quotas.close()
