"""What one process keeps in its own memory of the answers of `cached` functions."""

import json
import marshal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_MOST = 1024
_MISSING = object()


@dataclass(frozen=True, slots=True)
class _Entry:
    expires: float
    tags: Sequence[str]
    value: Any
    """As it is if it cannot be changed, else written down: who changes an answer must not change the kept one."""
    is_written: bool


class Local:
    """Up to `most` values, the one that was used longest ago goes first. For any number of threads."""

    missing = _MISSING
    """What `get` returns if there is nothing."""

    def __init__(self, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._epochs: dict[str, int] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        """Return the value, one of the caller's own, or `missing`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.expires <= self._clock():
                return _MISSING
            self._entries.move_to_end(key)
        # A third of the time that JSON takes; these bytes never leave the process.
        return marshal.loads(entry.value) if entry.is_written else entry.value  # noqa: S302

    def epoch(self, tags: Sequence[str]) -> int:
        """Return what is another number once one of the tags has been invalidated."""
        with self._lock:
            return sum(self._epochs.get(tag, 0) for tag in tags)

    def set(self, key: str, text: str, *, seconds: float, tags: Sequence[str], epoch: int) -> bool:
        """Keep a value, given as JSON, and return True, unless a tag was invalidated since `epoch` was asked for."""
        value = json.loads(text)
        is_written = isinstance(value, dict | list)
        kept = marshal.dumps(value) if is_written else value
        entry = _Entry(self._clock() + seconds, tuple(tags), kept, is_written)
        with self._lock:
            if sum(self._epochs.get(tag, 0) for tag in tags) != epoch:
                return False
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return True

    def invalidate(self, tag: str) -> None:
        """Forget all values that have the tag, those that are on their way here among them."""
        with self._lock:
            self._epochs[tag] = self._epochs.get(tag, 0) + 1
            for key in [key for key, entry in self._entries.items() if tag in entry.tags]:
                del self._entries[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


LOCAL = Local()
"""The process's own."""
