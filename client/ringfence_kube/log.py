"""What containers have written, and go on to write."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from ringfence_kube.api import Api
from ringfence_kube.errors import UnreachableError
from ringfence_kube.objects import core

_PAUSE = 1.0
_SECOND = len("2026-01-01T00:00:00")


def read_log(api: Api, namespace: str, pod: str, *, container: str, **query: str) -> Iterator[bytes]:
    """Return the lines of a container's log; `query` is what the API server's takes, such as tailLines."""
    return api.lines(f"{core('pods', namespace)}/{pod}/log", {"container": container, **query})


def follow_log(
    api: Api,
    namespace: str,
    pod: str,
    *,
    has_ended: Callable[[], bool],
    container: str,
    **query: str,
) -> Iterator[bytes]:
    """Yield the lines of a container as they come until it has ended; a connection that is cut is made anew.

    `has_ended` is asked when the server closes the stream, which it does at a container's end and at other times.
    """
    had = _Had()
    while True:
        is_whole = False
        with suppress(UnreachableError):
            for line in read_log(api, namespace, pod, container=container, follow="true", timestamps="true", **query):
                if had.is_new(line):
                    yield line.partition(b" ")[2]
            is_whole = True
        # What was cut is read on, although the container has ended meanwhile: there is more of it.
        if has_ended() and is_whole:
            return
        time.sleep(_PAUSE)
        query = had.resume() or query


class _Had:
    """Which lines we had of the last second: the server takes whole ones, so after a cut it begins with that again.

    Going by times alone would lose lines: those of standard output and error may come in another order than theirs.
    """

    def __init__(self) -> None:
        self._second = b""
        self._lines: Counter[bytes] = Counter()
        self._again: Counter[bytes] = Counter()

    def is_new(self, line: bytes) -> bool:
        """Return False for a line that we had before the stream was made anew; take note of others."""
        if self._again[line]:
            self._again[line] -= 1
            return False
        second = line[:_SECOND]
        if second > self._second:
            self._second = second
            self._lines.clear()
        if second == self._second:
            self._lines[line] += 1
        return True

    def resume(self) -> dict[str, str]:
        """Return what to ask for after a cut; nothing if there was no line yet."""
        self._again = self._lines.copy()
        return {"sinceTime": f"{self._second.decode()}Z"} if self._second else {}
