"""The connector: RabbitMQ as the framework knows it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector as Configuration
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Connector, Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.rabbitmq import limits, operations, permissions
from ringfence_sidecar.connectors.rabbitmq.asked import Asked
from ringfence_sidecar.connectors.rabbitmq.broker_errors import translated
from ringfence_sidecar.connectors.rabbitmq.judging import judge
from ringfence_sidecar.connectors.rabbitmq.leases import Lease, Leases
from ringfence_sidecar.connectors.rabbitmq.publishing import Publisher
from ringfence_sidecar.connectors.rabbitmq.receiving import Wanted
from ringfence_sidecar.connectors.rabbitmq.running import Open, Runner
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.connectors.rabbitmq.settling import Settler, Verdict
from ringfence_sidecar.errors import CallError, DeadlineError

_PROBE = "amq.direct"
"""An exchange that every virtual host has."""
_LAST_SECONDS = 1.0


class RabbitMQ(Connector[Open]):
    """Publishes with confirms, receives by leases. One connection per endpoint serves all calls."""

    kind = "rabbitmq"
    sessions = 1
    shared = True
    caches = False

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._limits = limits.decode(configuration.limits)
        self._permissions = permissions.decode(configuration.permissions)
        self._operations = operations.permitted(self._permissions)
        leases = Leases(self._limits.leases, self._give_back, self._ended)
        self.runner = Runner(self._limits, self._permissions, leases, Settler())
        self._sessions: dict[int, Open] = {}

    def operations(self) -> tuple[Operation, ...]:
        """Return what some permission lets be used."""
        return self._operations

    def prepare(self, operation: Operation, arguments: Any, context: Context) -> Prepared:
        """Judge the call. Raises UnknownError and LeaseLostError besides, for handles."""
        asked = Asked(
            operation=operation,
            context=context,
            permissions=self._permissions.of(context.agent),
            limits=self._limits,
            leases=self.runner.leases,
            owner=f"{context.agent.uid}/{self.configuration.uid}",
        )
        return judge(arguments, asked)

    async def connect(self, endpoint: Endpoint) -> Open:
        """Return a connection that is logged in, as the Secret says now."""
        seconds = self.configuration.health_check.timeout_seconds
        name = f"ringfence/{self.configuration.name}"
        session = Session(endpoint, self.configuration.auth, self.runner.leases, name=name, seconds=seconds)
        await session.open()
        opened = self._sessions[id(session)] = Open(session, Publisher(session))
        return opened

    async def disconnect(self, session: Open) -> None:
        """Close the connection: what is held on it goes back to its queues."""
        self._sessions.pop(id(session.session), None)
        await self.runner.settler.wait(_LAST_SECONDS)
        await session.session.close()

    async def health_check(self, session: Open) -> None:
        """Have the broker look one of its exchanges up, on a channel of its own."""
        link = session.session.link
        async with link.borrowed() as channel:
            with translated(f"endpoint {link.endpoint.name}"):
                await channel.exchange_declare(_PROBE, passive=True)

    async def execute(self, session: Open, prepared: Prepared, context: Context) -> Outcome:
        """Do it; the deadline ends what the driver waits for."""
        try:
            async with asyncio.timeout(context.deadline.remaining):
                return await self.runner.run(session, prepared, context)
        except TimeoutError:
            raise DeadlineError(
                "the call's deadline passed before the broker had answered: give a longer timeoutSeconds",
                outcome_unknown=prepared.effect is Effect.WRITE,
            ) from None

    async def stream(self, session: Open, prepared: Prepared, context: Context) -> AsyncIterator[Outcome]:
        """Yield messages as they come; what has been handed out stays held when the stream ends."""
        if not isinstance(prepared.payload, Wanted):
            raise CallError(f"{prepared.operation.name} does not stream")
        async with aclosing(self.runner.stream(session, prepared.payload, context)) as outcomes:  # type: ignore[type-var]
            async for outcome in outcomes:
                yield outcome

    def is_usable(self, session: Open) -> bool:
        """Return False once the connection is gone."""
        return session.session.is_usable

    def is_busy(self, session: Open) -> bool:
        """Return True while a message is held on it."""
        return session.session.is_busy

    def take_over(self, before: Connector[Open]) -> bool:
        """Go on with the leases, which live on the sessions before, and with the agent's own queues."""
        if not isinstance(before, RabbitMQ):
            return False
        self.runner.go_on_from(before.runner)
        return True

    def metrics(self) -> Mapping[str, float]:
        """Return how many messages are held, wait for a confirmation, and how many channels there are."""
        return {
            "leases": float(len(self.runner.leases)),
            "publishes_under_way": float(sum(each.publisher.under_way for each in self._sessions.values())),
            "channels": float(sum(each.session.channels_open for each in self._sessions.values())),
            "subscriptions": float(len(self.runner.subscriptions)),
        }

    def _ended(self, lease: Lease) -> None:
        if lease.held is not None:
            self.holding.give_back(lease.held)

    def _give_back(self, lease: Lease) -> None:
        self.runner.settler.begin(lease.group, [lease], Verdict.RETURN)
