"""What a queue has been declared with.

AMQP has no question for that. But a declaration that differs is refused, changes nothing, and the refusal names the
first argument that differs and its value: asked often enough, the broker has told everything, save what a policy adds.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from ringfence_sidecar.connectors.rabbitmq.broker_errors import (
    DRIVER_ERRORS,
    Inequivalence,
    call_error,
    inequivalence,
    is_missing,
)
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.errors import BackendError

_MOST_QUESTIONS = 24
_NUMBERS = frozenset(
    {"byte", "unsignedbyte", "short", "unsignedshort", "signedint", "unsignedint", "long", "timestamp"}
)
LIMITED_SINCE: Final = (4,)
"""The major version since which a quorum queue has a delivery limit that nobody has asked for."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A queue's own arguments."""

    durable: bool
    auto_delete: bool
    arguments: dict[str, Any]

    @property
    def text(self) -> str:
        """What is there, for a person."""
        parts = [f"durable={str(self.durable).lower()}", f"auto-delete={str(self.auto_delete).lower()}"]
        return ", ".join([*parts, *(f"{name}={value}" for name, value in sorted(self.arguments.items()))])

    def delivery_limit(self, version: tuple[int, ...]) -> str:
        """Return how often a message may be returned before the queue gives it up; empty if for ever."""
        if self.arguments.get("x-queue-type", "classic") != "quorum":
            return ""
        limit = self.arguments.get("x-delivery-limit")
        if limit is None:
            return "the broker's default" if version >= LIMITED_SINCE else ""
        return "" if int(limit) < 0 else str(limit)


async def is_there(session: Session, queue: str) -> bool:
    """Return True if there is a queue of that name. Raises BackendLostError, BackendError."""
    try:
        async with session.link.borrowed() as channel:
            await channel.queue_declare(queue, passive=True)
    except DRIVER_ERRORS as error:
        if is_missing(error):
            return False
        raise call_error(error, f"queue {queue!r}") from None
    return True


async def learn(session: Session, queue: str) -> Definition:
    """Return what an existing queue was declared with.

    Raises UnknownError if it is not there, BackendError if the broker does not let its definition be seen.
    """
    known = Definition(durable=True, auto_delete=False, arguments={})
    for _ in range(_MOST_QUESTIONS):
        said = await _ask(session, queue, known)
        if said is None:
            return known
        if said.argument == "durable":
            known = replace(known, durable=said.value == "true")
        elif said.argument == "auto_delete":
            known = replace(known, auto_delete=said.value == "true")
        elif not _note(said, known.arguments):
            break
    raise BackendError(
        f"queue {queue!r}: the broker does not tell what it was declared with; have its owner look",
        code="BrokerRefused",
    )


async def _ask(session: Session, queue: str, known: Definition) -> Inequivalence | None:
    """Return what differs from `known`, or None if nothing does. A queue that is not there is not made."""
    try:
        async with session.link.borrowed() as channel:
            await channel.queue_declare(queue, passive=True)
            await channel.queue_declare(
                queue, durable=known.durable, auto_delete=known.auto_delete, arguments=known.arguments
            )
    except DRIVER_ERRORS as error:
        said = inequivalence(error)
        if said is None:
            raise call_error(error, f"queue {queue!r}") from None
        return said
    return None


def _note(said: Inequivalence, arguments: dict[str, Any]) -> bool:
    """Take over what the broker says; return False for what cannot be said back to it."""
    if said.value is None or said.argument in arguments:
        return False
    if said.type in _NUMBERS:
        arguments[said.argument] = int(said.value)
    elif said.type == "bool":
        arguments[said.argument] = said.value == "true"
    elif said.type == "longstr":
        arguments[said.argument] = said.value
    else:
        return False
    return True
