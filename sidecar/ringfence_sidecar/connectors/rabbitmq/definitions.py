"""What a queue has been declared with.

AMQP has no question for that. But a declaration that differs is refused, changes nothing, and the refusal names the
first argument that differs and its value: asked often enough, the broker has told everything, save what a policy adds.
"""

from dataclasses import dataclass
from typing import Any

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
_DEFAULT_LIMIT_SINCE = (4,)
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
            return "the broker's default" if version >= _DEFAULT_LIMIT_SINCE else ""
        return "" if int(limit) < 0 else str(limit)


async def is_there(session: Session, queue: str) -> bool:
    """Return True if there is a queue of that name. Raises BackendLostError, BackendError."""
    channel = await session.link.channel()
    try:
        await channel.queue_declare(queue, passive=True)
    except DRIVER_ERRORS as error:
        if is_missing(error):
            return False
        raise call_error(error, f"queue {queue!r}") from None
    session.link.background(session.link.close_channel(channel))
    return True


async def learn(session: Session, queue: str) -> Definition:
    """Return what an existing queue was declared with.

    Raises UnknownError if it is not there, BackendError if the broker does not let its definition be seen.
    """
    durable, auto_delete, arguments = True, False, dict[str, Any]()
    for _ in range(_MOST_QUESTIONS):
        channel = await session.link.channel()
        try:
            await channel.queue_declare(queue, passive=True)
            await channel.queue_declare(queue, durable=durable, auto_delete=auto_delete, arguments=arguments)
        except DRIVER_ERRORS as error:
            said = inequivalence(error)
            if said is None:
                raise call_error(error, f"queue {queue!r}") from None
            if said.argument == "durable":
                durable = said.value == "true"
            elif said.argument == "auto_delete":
                auto_delete = said.value == "true"
            elif not _note(said, arguments):
                break
        else:
            session.link.background(session.link.close_channel(channel))
            return Definition(durable, auto_delete, arguments)
    raise BackendError(
        f"queue {queue!r}: the broker does not tell what it was declared with; have its owner look",
        code="BrokerRefused",
    )


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
