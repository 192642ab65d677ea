"""What ends a command beside the errors of the cluster."""

from ringfence_kube.errors import ClusterError


class CliError(ClusterError):
    """The cluster answered, and what is there is not what the command needs; the text says what to do."""
