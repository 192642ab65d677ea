"""A session with a Snowflake account: one login, one statement at a time, results that may stay open after it."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector, Endpoint
from ringfence_sidecar.connectors.snowflake.driver import load
from ringfence_sidecar.connectors.snowflake.failure import connect_failure, is_session_gone, statement_failure
from ringfence_sidecar.connectors.snowflake.options import connection_options, needs_relay
from ringfence_sidecar.connectors.snowflake.relay import Relay
from ringfence_sidecar.connectors.snowflake.tag import HEALTH_TAG, query_tag
from ringfence_sidecar.errors import DeadlineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL that has been let through, or is our own."""

    sql: str
    binds: tuple[Any, ...] = ()
    timeout_seconds: float
    writes: bool = False
    """It may have changed something if its end is unknown."""


@contextlib.contextmanager
def failures(*, writes: bool = False) -> Iterator[None]:
    """Raise what the driver raises as the tree of errors has it."""
    try:
        yield
    except load().error as error:
        raise statement_failure(error, wrote=writes) from None


class Session:
    """Opened by `open_session`, closed by `close`."""

    def __init__(self, configuration: Connector, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.broken = False
        """True where a transaction may have been left open: nobody may have the session again."""
        self._configuration = configuration
        self._connection: Any = None
        self._relay: Relay | None = None
        self._relay_options: dict[str, Any] = {}
        self._held = 0
        self._leaving = False
        self._is_in_doubt = False

    async def open(self) -> None:
        """Log in. Raises BackendLostError, or BackendError if the login is refused."""
        options = connection_options(self._configuration, self.endpoint)
        if needs_relay(self.endpoint):
            if self._relay is None:
                self._relay = Relay(self.endpoint, self._configuration.proxy)
                self._relay_options = await self._relay.start()
            options |= self._relay_options
        # The first time, that is an import of 0.4 s and more: other calls need not wait for it.
        driver = await asyncio.to_thread(load)
        try:
            connection = driver.connection(**options)
            connection.telemetry_enabled = False
            await connection.connect()
        except driver.error as error:
            raise connect_failure(error) from None
        self._connection = connection

    async def run(self, statement: Statement, context: Context, *, reopen: bool = True) -> Any:
        """Run a statement and return the driver's cursor on its result; the caller closes it.

        Snowflake ends it after its timeout or at the call's deadline, and when this task is cancelled. A session that
        has ended is opened again, once, unless `reopen` is False: Snowflake has done nothing then.
        """
        context.deadline.check()
        tag = query_tag(context)
        seconds = min(statement.timeout_seconds, context.deadline.remaining)
        connection = self._connection
        try:
            return await self._execute(statement, tag, seconds)
        except load().error as error:
            if not reopen or not is_session_gone(error):
                raise statement_failure(error, wrote=statement.writes) from None
        await self._replace(connection)
        with failures(writes=statement.writes):
            return await self._execute(statement, tag, min(seconds, context.deadline.remaining))

    async def check(self, seconds: float) -> None:
        """Have Snowflake evaluate a constant; no warehouse is started for it. Raises as `run` does."""
        statement = Statement(sql="SELECT 1", timeout_seconds=seconds)
        with failures():
            (await self._execute(statement, HEALTH_TAG, seconds)).close()

    def hold(self) -> None:
        """Count a result that stays open."""
        self._held += 1

    async def let_go(self) -> None:
        """Count one less, and close if that was all that was waited for."""
        self._held -= 1
        if self._leaving and not self._held:
            await self._close()

    async def close(self) -> None:
        """Log out, once no result is open any more."""
        self._leaving = True
        if not self._held:
            await self._close()

    @property
    def is_usable(self) -> bool:
        """Whether it may be given out again."""
        # Of the task that asks, for all that it does with the driver: two tenths of a millisecond less a call.
        load().tells.set(False)
        if self.broken or self._leaving or self._connection is None:
            return False
        # The driver's core takes a tenth of a millisecond to say: it is asked only if something went wrong.
        if self._is_in_doubt:
            self._is_in_doubt = bool(self._connection.is_closed())
        return not self._is_in_doubt

    async def _execute(self, statement: Statement, tag: str, seconds: float) -> Any:
        parameters = {"QUERY_TAG": tag, "STATEMENT_TIMEOUT_IN_SECONDS": max(1, math.ceil(seconds))}
        self._is_in_doubt = True
        cursor = self._connection.cursor()
        try:
            async with asyncio.timeout(seconds):
                await cursor.execute(statement.sql, statement.binds or None, _statement_params=parameters)
        except BaseException as error:
            cursor.close()
            if isinstance(error, TimeoutError):
                raise DeadlineError(
                    f"the statement took longer than {seconds:.1f} s and was cancelled: give a longer timeoutSeconds, "
                    "or ask for less",
                    outcome_unknown=statement.writes,
                ) from None
            raise
        self._is_in_doubt = False
        return cursor

    async def _replace(self, connection: Any) -> None:
        await self.open()
        await _log_out(connection)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        await _log_out(connection)
        if self._relay is not None:
            await self._relay.stop()


async def open_session(configuration: Connector, endpoint: Endpoint) -> Session:
    """Return a session that is logged in. Raises as `Session.open` does."""
    session = Session(configuration, endpoint)
    try:
        await session.open()
    except BaseException:
        await session.close()
        raise
    return session


async def _log_out(connection: Any) -> None:
    """Close a connection; Snowflake ends the session of one that cannot be told."""
    if connection is not None:
        with contextlib.suppress(load().error):
            await connection.close(retry=False)
