"""The operator's errors: one tree, in which the class decides the retry and the condition's reason."""

from typing import ClassVar


class OperatorError(Exception):
    """Anything that keeps an object from being reconciled.

    `reason` becomes the condition's reason, the text its message. `retry_after` is in seconds;
    `None` leaves the delay to the queue's back-off.
    """

    reason: ClassVar[str] = "ReconcileError"
    retry_after: float | None = None

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


class NotReadyError(OperatorError):
    """Something the object depends on is missing; try again after `retry_after` seconds."""

    reason = "DependencyNotReady"
    retry_after = 5.0


class TerminalError(OperatorError):
    """Trying again cannot help: only a change of the object can."""

    reason = "Refused"


class InvalidSpecError(TerminalError):
    """The object passed the API server but not this operator's models: the installed CRD is another version's."""

    reason = "InvalidSpec"
