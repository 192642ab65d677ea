"""Conditions: what the status of every kind says, and the reasons it says it with."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from ringfence_operator.api.model import Model, Timestamp


class Documented(StrEnum):
    """A word, and the sentence that the reference page prints for it."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make the member that is written `value, meaning`."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class ConditionType(Documented):
    """The condition types, in the order in which they stand in a status."""

    READY = "Ready", "The object does what its spec asks for."
    RECONCILING = "Reconciling", "The operator is on the way from one state to the next; absent otherwise."
    STALLED = "Stalled", "Nothing will change before somebody changes something; absent otherwise."
    ASSIGNED = "Assigned", "The agent has a pod."
    ENFORCED = "Enforced", "What confines the agent's pod is in force."
    SUSPENDED = "Suspended", "The agent is suspended: its pod is gone, its workspace is kept."
    COMPLETE = "Complete", "The task has come to its end."


class Status(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(Documented):
    """Every reason a condition may give, with the sentence that the reference page prints."""

    RUNNING = "Running", "The pod is running, and ready where it has a readiness probe."
    SUCCEEDED = "Succeeded", "The task's command ended with exit code 0."
    IN_FORCE = "InForce", "Everything that the spec asks for is in force."
    INVALID_SPEC = "InvalidSpec", "The object does not fit this operator's models: install the matching CRDs."
    DEPENDENCY_NOT_READY = "DependencyNotReady", "Something that the object names is missing or not ready yet."
    RECONCILE_ERROR = "ReconcileError", "The operator failed and will try again; the message says at what."
    REFUSED = "Refused", "The object asks for something that may not be."


class Condition(Model):
    """A `metav1.Condition`."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    """What the condition is about."""

    status: Status
    """Whether it holds: True, False or Unknown."""

    reason: Annotated[str, Field(min_length=1, max_length=128)]
    """Why, in one word that programs may rely on."""

    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, in a sentence for people."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this was said about."""

    last_transition_time: Timestamp
    """When the status last changed."""


_ORDER = {kind.value: place for place, kind in enumerate(ConditionType)}


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, if there is one."""
    return next((each for each in conditions if each.type == kind), None)


def set_condition(
    conditions: Iterable[Condition],
    kind: str,
    status: Status | bool,
    reason: str,
    message: str = "",
    *,
    now: datetime,
    generation: int | None = None,
) -> tuple[Condition, ...]:
    """Return `conditions` with this one set, in canonical order: Ready, Reconciling, Stalled, then the others.

    `last_transition_time` becomes `now` only where the status differs from the one that was there.
    """
    value = status if isinstance(status, Status) else Status(str(status))
    kept = [each for each in conditions if each.type != kind]
    before = find_condition(conditions, kind)
    since = before.last_transition_time if before is not None and before.status == value else now
    fresh = Condition(
        type=str(kind),
        status=value,
        reason=str(reason),
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )
    return _in_order([*kept, fresh])


def remove_condition(conditions: Iterable[Condition], kind: str) -> tuple[Condition, ...]:
    """Return `conditions` without the one of this type."""
    return _in_order(each for each in conditions if each.type != kind)


def _in_order(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted(conditions, key=lambda each: (_ORDER.get(each.type, len(_ORDER)), each.type)))
