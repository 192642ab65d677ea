"""Sessions with an endpoint: opened within a deadline, closed without a fuss."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Connector
from ringfence_sidecar.errors import BackendLostError, HurriedError

S = TypeVar("S")

LONGEST_CONNECT_SECONDS = 10.0
CONNECT_SHARE = 0.6
"""How much of a call's time may go into connecting, so that another endpoint can still be tried."""
LONGEST_DISCONNECT_SECONDS = 5.0
LONGEST_RETIREMENT_SECONDS = 120.0
"""How long a session that is replaced stays open for what lives on it."""
RETIREMENT_TICK_SECONDS = 0.5

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Held(Generic[S]):
    """A session in a pool."""

    session: S
    epoch: int
    """Which credentials it was opened with."""
    idle_since: float = 0.0
    users: int = 0


class EndpointLeftError(BackendLostError):
    """The endpoint was found dead while the call waited for a session: nothing has been tried."""


class Sessions(Protocol[S]):
    """The sessions with one endpoint."""

    async def acquire(self, deadline: Deadline) -> Held[S]:
        """Return a session, opened if need be, or wait for one in the order of asking.

        Raises BackendLostError (nothing was sent), DeadlineError, BackendError where the login is refused, or
        LimitedError where quotas leave no connection, and none of the others comes back in time.
        """

    async def acquire_for_check(self, deadline: Deadline) -> Held[S] | None:
        """Return the session that has been idle longest, a new one if there is none, or None if all are at work."""

    def release(self, held: Held[S], *, broken: bool) -> None:
        """Give it back; a broken one is never given out again."""

    def sweep(self, longest_idle: float) -> None:
        """Close what has been idle for longer, save one."""

    def doubt(self) -> None:
        """Close what is idle, or is no longer usable: one session was found lost, and the others may be as old."""

    def disperse(self) -> None:
        """Have those who wait for a session leave, by EndpointLeftError: the endpoint was found dead."""

    def renew(self) -> None:
        """Use no session of before for a new call: the credentials have changed."""

    def count(self) -> tuple[int, int]:
        """Return how many are in use and how many are idle."""

    @property
    def is_busy(self) -> bool:
        """Whether something lives on a session that a later call ends."""

    async def close(self) -> None:
        """Close all; those in use are closed as they come back."""


async def connect(connector: Connector[S], endpoint: Endpoint, deadline: Deadline) -> S:
    """Return a new session. Raises BackendLostError if that took too long: nothing of the call was sent then.

    Raises LimitedError where quotas leave no connection.
    """
    held = await connector.holding.connecting()
    try:
        session = await _connected(connector, endpoint, deadline)
    except BaseException:
        if held is not None:
            connector.holding.give_back(held)
        raise
    if held is not None:
        connector.holding.connected(session, held)
    return session


async def _connected(connector: Connector[S], endpoint: Endpoint, deadline: Deadline) -> S:
    share = deadline.remaining * CONNECT_SHARE
    try:
        async with asyncio.timeout(min(share, LONGEST_CONNECT_SECONDS)):
            return await connector.connect(endpoint)
    except BackendLostError as error:
        error.outcome_unknown = False
        raise
    except (OSError, TimeoutError) as error:
        if isinstance(error, TimeoutError) and share < LONGEST_CONNECT_SECONDS:
            raise HurriedError(f"endpoint {endpoint.name} was not reached in time") from error
        raise BackendLostError(f"endpoint {endpoint.name} cannot be reached ({type(error).__name__})") from error


async def disconnect(connector: Connector[Any], session: object) -> None:
    """Close a session, within a bound; a failure is only worth a line in the log."""
    try:
        async with asyncio.timeout(LONGEST_DISCONNECT_SECONDS):
            await connector.disconnect(session)
    except Exception as error:  # noqa: BLE001 - a third party's disconnect; the session is of no use to anyone
        log.warning("session not closed", connector=connector.configuration.name, error=type(error).__name__)
    finally:
        connector.holding.disconnected(session)


class Closing:
    """Sessions on their way out."""

    def __init__(self, connector: Connector[Any]) -> None:
        self._connector = connector
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, session: object, *, then: Callable[[], None] = lambda: None) -> None:
        """Close it in the background, and do what comes then."""
        task = asyncio.create_task(disconnect(self._connector, session))
        self.watch(task)
        task.add_done_callback(lambda _: then())

    def watch(self, task: asyncio.Task[None]) -> None:
        """Wait for the task, too, in `wait`."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Return when all are closed."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
