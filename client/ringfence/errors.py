"""What can go wrong, as one tree: catch the class that your program can do something about."""

from typing import ClassVar

from ringfence.envelope import Envelope, Problem


class RingfenceError(Exception):
    """Everything that this library raises by itself.

    `retryable` says whether the same call may be made again, `retry_after` in how many seconds, where that is known.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class NotInAgentError(RingfenceError):
    """The environment names no sidecar."""


class UnreachableError(RingfenceError):
    """The sidecar did not answer, or something else did. `retryable` if the call surely never reached it."""


class NotPublishedError(RingfenceError):
    """The broker did not take a message; `outcome` is `returned`, `nacked`, or `unknown`: then it may be there."""

    def __init__(self, message: str, *, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class ExecutionError(RingfenceError):
    """What is wanted of an agent from outside cannot be had."""


class ClusterError(ExecutionError):
    """The API server refused, did not answer, or cannot be found; `status` is that of an HTTP answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotReadyError(ExecutionError):
    """The agent cannot run, or was not ready in time; `reason` is its Ready condition's, `events` the last ones."""

    def __init__(self, message: str, *, reason: str, events: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.events = events


class AgentEndedError(ExecutionError):
    """The agent has ended while it was in use, as at its deadline, or for using more memory than it may."""


class CommandError(ExecutionError):
    """A command in an agent ended with another exit code than 0."""

    def __init__(self, command: str, *, exit_code: int, stdout: str, stderr: str) -> None:
        last = stderr.strip().rpartition("\n")[2][:500]
        super().__init__(f"{command} ended with {exit_code}" + (f": {last}" if last else ""))
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


class CallError(RingfenceError):
    """The sidecar did not serve a call. `envelope` is all that it said; subclasses say what kind of trouble it is.

    The class is that of the problem document's `type`; of a type that this version does not know, that of its
    `outcome`, so new types never break a program.
    """

    outcome: ClassVar[str] = ""
    _of_code: ClassVar[dict[str, type["CallError"]]] = {}
    _of_outcome: ClassVar[dict[str, type["CallError"]]] = {}

    def __init_subclass__(cls, *, outcome: str = "", codes: tuple[str, ...] = ()) -> None:
        if outcome:
            cls.outcome = outcome
            CallError._of_outcome[outcome] = cls
        CallError._of_code.update(dict.fromkeys(codes, cls))

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.problem = envelope.errors[0] if envelope.errors else Problem("Internal", envelope.message)
        super().__init__(
            envelope.message or self.problem.message,
            retryable=self.problem.retryable,
            retry_after=self.problem.retry_after_seconds,
        )

    @classmethod
    def of(cls, envelope: Envelope) -> "CallError":
        """Return the exception of an envelope that was not served."""
        code = envelope.errors[0].code if envelope.errors else ""
        kind = cls._of_code.get(code) or cls._of_outcome.get(envelope.status, CallError)
        return kind(envelope)

    @property
    def code(self) -> str:
        """Stable, in CamelCase, such as `QuotaExceeded`."""
        return self.problem.code

    @property
    def type(self) -> str:
        """The problem document's type (RFC 9457)."""
        return f"urn:ringfence:problem:{self.code}"

    @property
    def request_id(self) -> str:
        """Leads to the audit line."""
        return self.envelope.metadata.request_id


class InvalidError(CallError, outcome="invalid"):
    """The call is not one that the operation takes; `problem.field` says which argument is at fault."""


class InvalidPayloadError(InvalidError, codes=("InvalidPayload",)):
    """A payload does not fit the schema that the agent has registered."""


class RefusedError(CallError, outcome="refused"):
    """Policy does not permit it; `problem.rule` says which rule."""


class NotFoundError(CallError, outcome="notFound"):
    """There is no such connector, operation, handle or object."""


class ValueNotFoundError(NotFoundError, codes=("ValueNotFound",)):
    """No value is kept under the key, or it has expired."""


class ConflictError(CallError, outcome="conflict"):
    """What is there contradicts the call."""


class LeaseLostError(ConflictError, codes=("LeaseLost",)):
    """A message is not held any longer; it comes again."""


class LimitedError(CallError, outcome="limited"):
    """A limit is used up."""


class QuotaError(LimitedError, codes=("QuotaExceeded", "QuotaWaitExceeded", "QuotaStoreUnavailable", "QuotaNotFound")):
    """A Quota refused; `problem` has its name, the resource, the limit, what is used of it, window and scope."""


class DeadlineError(CallError, outcome="timeout"):
    """The call's time was over. It may have been done all the same, unless `retryable`."""


class CancelledCallError(CallError, outcome="cancelled"):
    """The call was given up before it was served."""


class UnavailableError(CallError, outcome="unavailable"):
    """Nothing that could serve the call is there now. It may have been done all the same, unless `retryable`."""


class NotConfiguredError(UnavailableError, codes=("NotConfigured",)):
    """The sidecar has not heard from the operator yet."""


class BackendError(CallError, outcome="failed"):
    """The back end answered, and refused, as with an error in SQL."""


class InternalError(CallError, outcome="internal"):
    """The sidecar failed; its log says more."""
