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


class TerminalError(OperatorError):
    """Trying again cannot help: only a change of the object can."""

    reason = "Refused"


class InvalidSpecError(TerminalError):
    """The object passed the API server but not this operator's models: the installed CRD is another version's."""

    reason = "InvalidSpec"


class NotLeaderError(OperatorError):
    """Writing is not for this replica: another one holds the Lease, or ours is about to end."""

    reason = "NotLeader"


class KubeError(OperatorError):
    """The API server refused a request or did not answer; the text is its own message."""

    reason = "ApiError"


class ConflictError(KubeError):
    """Somebody else wrote first (409): look again, then decide again."""

    reason = "Conflict"


class AlreadyExistsError(KubeError):
    """An object of that name is there already (409)."""

    reason = "AlreadyExists"


class NotFoundError(KubeError):
    """There is no such object, or its namespace or kind is gone (404)."""

    reason = "NotFound"


class ForbiddenError(KubeError):
    """RBAC, a ResourceQuota or an admission plug-in says no (401, 403)."""

    reason = "Forbidden"


class InvalidError(KubeError):
    """The API server does not take the object as it is (400, 422)."""

    reason = "Invalid"


class ExpiredError(KubeError):
    """The version that a list or a watch should go on from has been forgotten (410)."""

    reason = "Expired"


class ThrottledError(KubeError):
    """The API server asks to come back later (429)."""

    reason = "Throttled"


class UnavailableError(KubeError):
    """The API server cannot be reached or cannot serve now (5xx, connection lost, timeout)."""

    reason = "ApiUnavailable"


class SettingsError(OperatorError):
    """A setting of the operator does not fit; it does not start."""

    reason = "InvalidSettings"
