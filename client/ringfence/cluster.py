"""The cluster's errors as this library's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from ringfence.errors import ClusterError
from ringfence_kube import errors


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Have what the cluster refuses raised as ClusterError."""
    try:
        yield
    except errors.ClusterError as error:
        status = error.status if isinstance(error, errors.RefusedError) else None
        raise ClusterError(str(error), status=status) from error
