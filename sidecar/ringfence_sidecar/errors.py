"""Everything that can go wrong with a call, as one tree. The class decides the status, the HTTP code and the retry."""

from enum import StrEnum
from typing import Any, ClassVar


class Status(StrEnum):
    """How a call ended; the closed list of the envelope's `status`."""

    OK = "ok"
    PARTIAL = "partial"
    """Served, and something was cut or some parts failed: the warnings and errors say what."""
    INVALID = "invalid"
    REFUSED = "refused"
    NOT_FOUND = "notFound"
    CONFLICT = "conflict"
    LIMITED = "limited"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    """The backend answered, and refused."""
    INTERNAL = "internal"


class CallError(Exception):
    """A call that was not served. `message` is for the agent: no secret, no stack trace, no other tenant's text.

    `rule` names the rule that decided, for policy and quota; `field` the argument at fault, as a path.
    `outcome_unknown` is True where the backend may have done it all the same, so that nothing may be tried elsewhere.
    """

    status: ClassVar[Status] = Status.INTERNAL
    http: ClassVar[int] = 500
    code: ClassVar[str] = "Internal"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        rule: str = "",
        field: str = "",
        retry_after: float | None = None,
        retryable: bool | None = None,
        outcome_unknown: bool = False,
        backend_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        self.rule = rule
        self.field = field
        self.retry_after = retry_after
        self.is_retryable = self.retryable if retryable is None else retryable
        self.outcome_unknown = outcome_unknown
        self.backend_id = backend_id


class InvalidArgumentsError(CallError):
    """The call's arguments are not what the operation takes; the message says what to write instead."""

    status = Status.INVALID
    http = 400
    code = "InvalidArguments"


class InvalidPayloadError(CallError):
    """A payload does not fit the schema that the agent registered for it."""

    status = Status.INVALID
    http = 422
    code = "InvalidPayload"


class RefusedError(CallError):
    """Policy does not permit the call; `rule` says which rule."""

    status = Status.REFUSED
    http = 403
    code = "NotPermitted"


class UnknownError(CallError):
    """There is no such connector, operation, handle or object."""

    status = Status.NOT_FOUND
    http = 404
    code = "NotFound"


class NotOfferedError(UnknownError):
    """What is asked for is not there for this agent: policy's own answer, so the call was refused."""


class LeaseLostError(CallError):
    """The handle's lease has expired, or the channel that it lived on is gone; the message will come again."""

    status = Status.CONFLICT
    http = 409
    code = "LeaseLost"


class ConflictError(CallError):
    """What is there contradicts the call, such as a queue of that name with other arguments."""

    status = Status.CONFLICT
    http = 409
    code = "Conflict"


class LimitedError(CallError):
    """A quota is used up. `details` say which: quota, resource, window, scope, enforcement, limit, used."""

    status = Status.LIMITED
    http = 429
    code = "QuotaExceeded"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        rule: str = "",
        retry_after: float | None = None,
        retryable: bool | None = None,
        outcome_unknown: bool = False,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            message,
            code=code,
            rule=rule,
            retry_after=retry_after,
            retryable=retryable,
            outcome_unknown=outcome_unknown,
        )
        self.details = details or {}


class DeadlineError(CallError):
    """The call's deadline passed."""

    status = Status.TIMEOUT
    http = 504
    code = "DeadlineExceeded"
    retryable = True


class UnavailableError(CallError):
    """Nothing that could serve the call is there: try again after `retry_after` seconds."""

    status = Status.UNAVAILABLE
    http = 503
    code = "Unavailable"
    retryable = True


class NotConfiguredError(UnavailableError):
    """The sidecar has never had its configuration from the operator: nothing is open."""

    code = "NotConfigured"


class BackendError(CallError):
    """The backend answered that it would not, such as a compilation error of SQL."""

    status = Status.FAILED
    http = 502
    code = "BackendRefused"


class BackendLostError(UnavailableError):
    """The connection to the endpoint broke, or could not be made; another endpoint may serve.

    Raise it with `outcome_unknown=True` if the request had been sent.
    """

    code = "BackendLost"


class HurriedError(BackendLostError):
    """The call's time left too little of it to connect: no session was there, and a new one takes longer."""
