"""The kind `snowflake`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector as Configuration
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Connector, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake import judge
from ringfence_sidecar.connectors.snowflake.analysis import Analyze
from ringfence_sidecar.connectors.snowflake.batch import Batch
from ringfence_sidecar.connectors.snowflake.bound import READING_KINDS, TRANSACTIONAL_KINDS, Action, Bound
from ringfence_sidecar.connectors.snowflake.catalog import Describe, List
from ringfence_sidecar.connectors.snowflake.change import Execute
from ringfence_sidecar.connectors.snowflake.query import Query
from ringfence_sidecar.connectors.snowflake.session import Session, open_session
from ringfence_sidecar.connectors.snowflake.usage import Usage

_HEALTH_SECONDS = 5.0


class Snowflake(Connector[Session]):
    """Snowflake by its official driver; what SQL may do is judged before it is sent.

    Raises msgspec.ValidationError or ValueError if the configuration is not what `settings.py` and the judge take.
    """

    kind: ClassVar[str] = "snowflake"
    caches: ClassVar[bool] = True

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self.bound = Bound(configuration)
        self._actions: dict[str, Action] = {action.operation.name: action for action in _permitted(self.bound)}

    def operations(self) -> tuple[Operation, ...]:
        """Return those that some statement is permitted for."""
        return tuple(action.operation for action in self._actions.values())

    def is_long(self, operation: Operation, arguments: Any) -> bool:
        """See Connector."""
        return self.bound.is_long(self._actions[operation.name].texts(arguments))

    def prepare(self, operation: Operation, arguments: Any, context: Context) -> Prepared:
        """See Connector."""
        prepared = self._actions[operation.name].prepare(arguments, context)
        return replace(
            prepared,
            credits_per_second=self.bound.credits_per_second,
            bytes_scanned_per_second=self.bound.scans.bytes_per_second,
        )

    async def connect(self, endpoint: Endpoint) -> Session:
        """See Connector. What judges is imported with the driver: the first call finds it there."""
        if not judge.is_loaded():
            await asyncio.to_thread(judge.load)
        return await open_session(self.configuration, endpoint)

    async def disconnect(self, session: Session) -> None:
        """See Connector. A result that is still open keeps its session until it ends, or its time is over."""
        await session.close()

    async def health_check(self, session: Session) -> None:
        """Have Snowflake evaluate a constant: that needs the session and the service, and starts no warehouse."""
        await session.check(_HEALTH_SECONDS)

    async def execute(self, session: Session, prepared: Prepared, context: Context) -> Outcome:
        """See Connector."""
        return await self._actions[prepared.operation.name].run(session, prepared.payload, context)

    def stream(self, session: Session, prepared: Prepared, context: Context) -> AsyncIterator[Outcome]:
        """See Connector; `query` only."""
        action = self._actions[prepared.operation.name]
        if not isinstance(action, Query):
            raise NotImplementedError
        return action.stream(session, prepared.payload, context)

    def is_usable(self, session: Session) -> bool:
        """See Connector."""
        return session.is_usable

    def take_over(self, before: Connector[Session]) -> bool:
        """See Connector: open results keep their sessions themselves."""
        if not isinstance(before, Snowflake):
            return False
        self.bound.go_on_with(before.bound)
        return True

    def metrics(self) -> Mapping[str, float]:
        """See Connector."""
        return {"open_results": float(len(self.bound.pages))}


def _permitted(bound: Bound) -> list[Action]:
    actions: list[Action] = []
    if bound.kinds & READING_KINDS:
        actions.append(Query(bound))
    if bound.kinds - READING_KINDS:
        actions.append(Execute(bound))
    if bound.kinds & TRANSACTIONAL_KINDS - READING_KINDS:
        actions.append(Batch(bound))
    if "Select" in bound.kinds:
        actions.append(Analyze(bound))
    if bound.kinds & {"Select", "Describe"}:
        actions.append(Describe(bound))
    if bound.kinds & {"Select", "Show"}:
        actions.append(List(bound))
    if bound.settings.warehouse_usage:
        actions.append(Usage(bound))
    return actions
