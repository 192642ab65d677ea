"""A call that is to be judged, and what several judges need."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Operation, Prepared
from ringfence_sidecar.connectors.rabbitmq import arguments
from ringfence_sidecar.connectors.rabbitmq.leases import Lease, Leases
from ringfence_sidecar.connectors.rabbitmq.limits import Limits
from ringfence_sidecar.connectors.rabbitmq.permissions import Permissions, Verb
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError

_NAME_BYTES = 255
_HEADER_NAME_BYTES = 128
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_NAMES = frozenset({"payload", "body_base64", "filter"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is to be judged, and by what."""

    operation: Operation
    context: Context
    permissions: Permissions
    """Those of the agent."""
    limits: Limits
    leases: Leases
    owner: str
    """Whose handles are known."""


def check_names(given: Any, field: str = "arguments") -> None:
    """Raise InvalidArgumentsError for a text that AMQP cannot carry: a name has at most 255 bytes, a header's 128."""
    if isinstance(given, str):
        _check_name(given, field)
    elif isinstance(given, msgspec.Struct):
        for name, written in _fields(type(given)):
            if part := getattr(given, name):
                check_names(part, f"{field}.{written}")
    elif isinstance(given, tuple):
        for at, part in enumerate(given):
            check_names(part, f"{field}[{at}]")
    elif isinstance(given, dict):
        for name, value in given.items():
            _check_name(name, field, _HEADER_NAME_BYTES)
            _check_value(name, value, field)


def _check_value(name: str, value: str | int, field: str) -> None:
    if isinstance(value, str):
        _encoded(value, field)
    elif not -(2**63) <= value < 2**63:
        raise InvalidArgumentsError(f"header {name!r}: AMQP's integers have 64 bits; write it as text", field=field)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    return tuple((each.name, each.encode_name) for each in msgspec.structs.fields(kind) if each.name not in _NO_NAMES)


def _check_name(text: str, field: str, most: int = _NAME_BYTES) -> None:
    if len(_encoded(text, field)) > most:
        raise InvalidArgumentsError(f"{field} is longer than {most} bytes, in UTF-8", field=field)
    if _CONTROL.search(text):
        raise InvalidArgumentsError(f"{field} has a control character: leave it out", field=field)


def _encoded(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentsError(f"{field} is no text that UTF-8 can write", field=field) from None


def judge_any(permissions: Permissions, queue: str, *verbs: Verb) -> None:
    """Raise RefusedError unless one of the verbs is permitted."""
    for verb in verbs[1:]:
        try:
            permissions.judge_queue(verb, queue)
        except RefusedError:
            continue
        return
    permissions.judge_queue(verbs[0], queue)


def check_batch(size: int, asked: Asked, field: str) -> None:
    """Raise InvalidArgumentsError for more than a call may take."""
    if size > asked.limits.batch:
        raise InvalidArgumentsError(
            f"{size} are too many for one call: give at most {asked.limits.batch}", field=f"arguments.{field}"
        )


def check_headers(wanted: arguments.HeadersFilter | None) -> None:
    """Raise InvalidArgumentsError for a filter by the broker's own headers."""
    if wanted is not None and any(name.lower().startswith("x-") for name in wanted.headers):
        raise InvalidArgumentsError("headers that begin with x- are the broker's", field="arguments.headers")


def lease_seconds(given: float | None, asked: Asked) -> float:
    """Return how long the leases last. Raises InvalidArgumentsError for longer than permitted."""
    most = asked.limits.max_lease_seconds
    if given is not None and given > most:
        raise InvalidArgumentsError(f"a lease lasts at most {most:g} seconds", field="arguments.leaseSeconds")
    return min(asked.limits.lease_seconds if given is None else given, most)


def count_of(given: int, asked: Asked) -> int:
    """Return how many messages a call is to receive of those that it asks for."""
    return min(given, asked.limits.together, asked.limits.batch)


def to_receive(count: int) -> dict[str, float]:
    """Return what receiving costs: how large messages are is known when they are there, so it is settled after."""
    return {"messagesReceived": count, "messageBytes": 1, "unackedLeases": count}


def queues(held: Sequence[Lease]) -> str:
    """Return the queues that what is held is of, for the audit line."""
    return ", ".join(sorted({lease.group.queue for lease in held}))


def prepared(asked: Asked, payload: Any, rule: str, summary: str) -> Prepared:
    """Return a call that has the effect of its operation, and no more to it."""
    operation = asked.operation
    return Prepared(operation=operation, effect=operation.effect, payload=payload, rule=rule, summary=summary)
