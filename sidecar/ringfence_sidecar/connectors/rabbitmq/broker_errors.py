"""What the driver raises, as the sidecar's errors. The broker's text is read, and never handed on."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aio_pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ConnectionNotImplemented

from ringfence_sidecar.errors import BackendError, BackendLostError, CallError, ConflictError, UnknownError

_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<name>[\w-]{1,64})' for .*"
    r"received .* but current is (?:the value )?(?:'(?P<value>[^']{0,255})'|(?P<none>none))"
    r"(?: of type '(?P<type>\w+)')?",
    re.DOTALL,
)

_ANSWERS: tuple[tuple[type[Exception], type[CallError], str | None, str], ...] = (
    (
        ChannelNotFoundEntity,
        UnknownError,
        None,
        "the broker has nothing of that name; declare it first, or write another name",
    ),
    (
        ChannelAccessRefused,
        BackendError,
        "BrokerRefused",
        "the broker refuses this to the Connector's user; have its permissions on the broker widened",
    ),
    (
        ChannelLockedResource,
        ConflictError,
        None,
        "another connection has it for itself, or it hands out to one consumer at a time; ask again later",
    ),
    (ChannelPreconditionFailed, ConflictError, None, "that contradicts what is there"),
    (ConnectionNotImplemented, BackendError, "BrokerRefused", "the broker cannot do this with a queue of that type"),
)

DRIVER_ERRORS = (AMQPError, OSError, RuntimeError)
"""RuntimeError is what the driver answers for a connection that it has closed already."""


@dataclass(frozen=True, slots=True)
class Inequivalence:
    """What the broker says about an argument of what is there."""

    argument: str
    value: str | None
    """As the broker writes it; None if it is not set."""
    type: str
    """AMQP's type, where it says one."""


def inequivalence(error: BaseException) -> Inequivalence | None:
    """Return the first argument that differs, if that is why a declaration was refused."""
    if not isinstance(error, ChannelPreconditionFailed):
        return None
    found = _INEQUIVALENT.search(_text(error))
    if found is None:
        return None
    return Inequivalence(found["name"], None if found["none"] else found["value"], found["type"] or "")


def is_missing(error: BaseException) -> bool:
    """Return True if what was named is not there."""
    return isinstance(error, ChannelNotFoundEntity)


def call_error(error: BaseException, what: str, *, sent: bool = False) -> CallError:
    """Return the error for the agent; `what` is what was asked, such as `queue 'orders'`.

    `sent` says that the broker may have done it all the same.
    """
    if isinstance(error, CallError):
        return error
    for kind, made, code, text in _ANSWERS:
        if isinstance(error, kind):
            return made(f"{what}: {text}", code=code)
    if isinstance(error, AMQPConnectionError | ChannelInvalidStateError | OSError | RuntimeError):
        return BackendLostError(f"{what}: the connection to the broker broke", outcome_unknown=sent)
    return BackendError(f"{what}: the broker refused", code="BrokerRefused", outcome_unknown=sent)


@contextmanager
def translated(what: str, *, sent: bool = False) -> Iterator[None]:
    """Raise what the driver raises as the sidecar's errors."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise call_error(error, what, sent=sent) from None
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise BackendLostError(f"{what}: the connection to the broker broke", outcome_unknown=sent) from None


def is_cancelled() -> bool:
    """Return True if it is this task that is to end: the driver ends what waits for a lost broker in the same way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _text(error: BaseException) -> str:
    return str(error.args[0]) if error.args else ""
