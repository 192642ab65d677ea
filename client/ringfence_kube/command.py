"""Commands in a container that runs."""

import json
from collections.abc import Iterator, Sequence

from ringfence_kube.api import Api
from ringfence_kube.errors import ClusterError, UnreachableError
from ringfence_kube.objects import core
from ringfence_kube.transport import Channel

STDIN, STDOUT, STDERR, _STATUS = range(4)
_PIECE = 32768
_BOUND_TO_US = """
exec 3<&0
command -v setsid >/dev/null && set -- setsid "$@"
"$@" </dev/null 3<&- &
pid=$!
{ while read -r _; do :; done <&3; kill -KILL -$pid || kill -KILL $pid; } >/dev/null 2>&1 &
guard=$!
wait $pid
code=$?
kill $guard 2>/dev/null
exit $code
"""
"""Runs a command and ends it, with all that it has started, once our end of standard input is closed: a container goes
on with what somebody began who has gone."""


def bound(argv: Sequence[str]) -> list[str]:
    """Return the command as one that ends when the connection does; the container needs `sh`."""
    return ["sh", "-c", _BOUND_TO_US, "sh", *argv]


class Command:
    """A command that was begun in a pod's container. Iterating gives what it writes, and `code` is there at its end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.code: int | None = None
        """Exit code, once all was read."""

    @classmethod
    def begin(cls, api: Api, namespace: str, pod: str, argv: Sequence[str], *, container: str) -> "Command":
        """Begin one. Raises ClusterError."""
        query = [("container", container), *(("command", word) for word in argv)]
        query += [(stream, "true") for stream in ("stdin", "stdout", "stderr")]
        return cls(api.channel(f"{core('pods', namespace)}/{pod}/exec", query))

    def write(self, content: bytes) -> None:
        """Give it something to read. Standard input has no end while the command runs."""
        for start in range(0, len(content), _PIECE):
            self._channel.send(bytes([STDIN]) + content[start : start + _PIECE])

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield STDOUT or STDERR, and what came of it.

        Raises ClusterError if the command could not be started, UnreachableError if the connection ended before it.
        """
        while (message := self._channel.receive()) is not None:
            stream, content = message[0] if message else STDOUT, message[1:]
            if stream == _STATUS:
                self.code = _code(content)
                return
            if content:
                yield stream, content
        raise UnreachableError("the connection with the command was cut")

    def stop(self) -> None:
        """End the connection, from any thread, and a command that is bound to it."""
        self._channel.close()


def _code(content: bytes) -> int:
    status = json.loads(content)
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    code = next((each["message"] for each in causes if each.get("reason") == "ExitCode"), None)
    if code is None:
        raise ClusterError(str(status.get("message") or "the command could not be started"))
    return int(code)
