"""The library for programs without an event loop: the same names, without `await`.

What works in the background (leases that are extended while the body of a loop works) does so in a thread.
"""

import functools
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from ringfence import agent, connection, connector, consuming, execution, rabbitmq, snowflake, values
from ringfence.caching import BLOCKING, Blocking
from ringfence.envelope import Envelope
from ringfence.message import Message
from ringfence.portal import Portal
from ringfence.retry import Retry
from ringfence.trace import Log, Span, log_json

Inside = TypeVar("Inside")
Inside_co = TypeVar("Inside_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


class _Face(Generic[Inside_co]):
    """What has the methods of `inside`, without `await`."""

    def __init__(self, inside: Inside_co, portal: Portal) -> None:
        self._inside = inside
        self._portal = portal


def _waiting(
    method: Callable[Concatenate[Inside, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[_Face[Inside], P], R]:
    """Return the method for a face: one that returns when the other has."""

    @functools.wraps(method)
    def call(self: _Face[Inside], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._portal.run(method(self._inside, *args, **kwargs))

    return call


def _each(
    method: Callable[Concatenate[Inside, P], AsyncIterator[R]],
) -> Callable[Concatenate[_Face[Inside], P], Iterator[R]]:
    """Return the method for a face: one that yields what the other does."""

    @functools.wraps(method)
    def call(self: _Face[Inside], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._portal.iterate(method(self._inside, *args, **kwargs))

    return call


class Connector(_Face[connector.Connector]):
    """See `ringfence.Connector`."""

    call = _waiting(connector.Connector.call)


class Snowflake(_Face[snowflake.Snowflake]):
    """See `ringfence.Snowflake`."""

    call = _waiting(snowflake.Snowflake.call)
    query = _waiting(snowflake.Snowflake.query)
    pages = _each(snowflake.Snowflake.pages)
    execute = _waiting(snowflake.Snowflake.execute)
    batch = _waiting(snowflake.Snowflake.batch)


class Consumption(_Face[consuming.Consumption]):
    """See `ringfence.Consumption`: `with broker.consume("orders") as messages`, and in it `for message in messages`."""

    ack = _waiting(consuming.Consumption.ack)
    nack = _waiting(consuming.Consumption.nack)

    def __iter__(self) -> Iterator[Message]:
        return self._portal.iterate(self._inside)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal.run(self._inside.__aexit__(kind, error, traceback))


def _consuming(
    method: Callable[Concatenate[Inside, P], consuming.Consumption],
) -> Callable[Concatenate[_Face[Inside], P], Consumption]:
    """Return the method for a face: one that consumes without `await`."""

    @functools.wraps(method)
    def call(self: _Face[Inside], /, *args: P.args, **kwargs: P.kwargs) -> Consumption:
        return Consumption(method(self._inside, *args, **kwargs), self._portal)

    return call


class RabbitMQ(_Face[rabbitmq.RabbitMQ]):
    """See `ringfence.RabbitMQ`."""

    call = _waiting(rabbitmq.RabbitMQ.call)
    publish = _waiting(rabbitmq.RabbitMQ.publish)
    publish_all = _waiting(rabbitmq.RabbitMQ.publish_all)
    receive = _waiting(rabbitmq.RabbitMQ.receive)
    ack = _waiting(rabbitmq.RabbitMQ.ack)
    nack = _waiting(rabbitmq.RabbitMQ.nack)
    extend = _waiting(rabbitmq.RabbitMQ.extend)

    consume = _consuming(rabbitmq.RabbitMQ.consume)


class Cache(_Face[values.Cache]):
    """See `ringfence.Cache`."""

    get = _waiting(values.Cache.get)
    find = _waiting(values.Cache.find)
    set = _waiting(values.Cache.set)
    delete = _waiting(values.Cache.delete)
    invalidate_tag = _waiting(values.Cache.invalidate_tag)


class Agent(_Face[agent.Agent]):
    """See `ringfence.Agent`. Any number of threads may use it."""

    run = _waiting(agent.Agent.run)
    run_python = _waiting(agent.Agent.run_python)
    stream = _each(agent.Agent.stream)
    read_file = _waiting(agent.Agent.read_file)
    write_file = _waiting(agent.Agent.write_file)

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self._inside.name

    @property
    def namespace(self) -> str:
        """The namespace that it is in."""
        return self._inside.namespace


def _executing(
    begin: Callable[P, AbstractAsyncContextManager[agent.Agent]],
) -> Callable[P, AbstractContextManager[Agent]]:
    """Return the function for programs without an event loop: what it returns is for `with`."""

    @contextmanager
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[Agent]:
        portal = Portal()
        portal.start()
        try:
            inside = begin(*args, **kwargs)
            found = portal.run(inside.__aenter__())
            try:
                yield Agent(found, portal)
            except BaseException:
                portal.run(inside.__aexit__(*sys.exc_info()))
                raise
            portal.run(inside.__aexit__(None, None, None))
        finally:
            # Ctrl-C while something is waited for ends that, and it takes the agent away before it has ended.
            try:
                portal.finish()
            finally:
                portal.close()

    return functools.wraps(begin)(call)


isolated_execution = _executing(execution.isolated_execution)


def connect(
    url: str | None = None,
    *,
    timeout: float = connection.SECONDS,
    retry: Retry | None = None,
    log: Log = log_json,
) -> "Ringfence":
    """Return a connection for `with`; see `ringfence.connect`. In it, other than async functions are `cached`."""
    return Ringfence(connection.connect(url, timeout=timeout, retry=retry, log=log))


class Ringfence:
    """See `ringfence.Ringfence`. Any number of threads may use it."""

    def __init__(self, inside: connection.Ringfence) -> None:
        self._inside = inside
        self._portal = Portal()
        self._outer: Blocking | None = None
        self.cache = Cache(inside.cache, self._portal)
        """The agent's own values."""

    def snowflake(self, name: str) -> Snowflake:
        """Return the Connector of kind `snowflake` that has this name; nothing is asked yet."""
        return Snowflake(self._inside.snowflake(name), self._portal)

    def rabbitmq(self, name: str) -> RabbitMQ:
        """Return the Connector of kind `rabbitmq` that has this name; nothing is asked yet."""
        return RabbitMQ(self._inside.rabbitmq(name), self._portal)

    def connector(self, name: str) -> Connector:
        """Return a Connector of any kind, to call its operations by their names; nothing is asked yet."""
        return Connector(self._inside.connector(name), self._portal)

    def trace(self, operation: str, /, *, parent: str = "", **fields: Any) -> Span:
        """Return a span for `with`; see `ringfence.Ringfence.trace`."""
        return self._inside.trace(operation, parent=parent, **fields)

    def normalize(self, value: Any, *, message: str = "") -> Envelope:
        """Return an envelope of anything: see `ringfence.normalize`."""
        return self._inside.normalize(value, message=message)

    def __enter__(self) -> Self:
        self._portal.start()
        self._outer = BLOCKING.get()
        BLOCKING.set(Blocking(self._inside.cache, self._portal.run))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        BLOCKING.set(self._outer)
        try:
            self._portal.run(self._inside.aclose())
        finally:
            self._portal.close()
