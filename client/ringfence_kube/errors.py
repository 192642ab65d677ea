"""What the API server does not do: one tree, each with a sentence for whoever asked."""


class ClusterError(Exception):
    """The cluster cannot be asked, or does not do it; the text says why, and where it can what to do."""


class UnreachableError(ClusterError):
    """No answer came from the API server, or none of an API server."""


class RefusedError(ClusterError):
    """The API server said no; the text is its message, `status` the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(RefusedError):
    """There is no such object, or no such kind."""


class ForbiddenError(RefusedError):
    """We may not do that; the text says what right is missing, and whose it is."""


class ExpiredError(RefusedError):
    """A watch asks for a version that the server has forgotten."""
