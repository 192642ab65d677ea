"""Objects for which there is no place in a cache, since another one is there under their key."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
Obj = TypeVar("Obj")


class Beside(Generic[K, Obj]):
    """By key and UID, each with its version. `is_leaving` tells those that are better not shown."""

    def __init__(self, is_leaving: Callable[[Obj], bool]) -> None:
        self.is_leaving = is_leaving
        self._entries: dict[K, dict[str, tuple[int, Obj]]] = {}

    def __contains__(self, key: K) -> bool:
        """Return True if something is there under the key."""
        return key in self._entries

    def of(self, key: K) -> list[Obj]:
        """Return what is there under the key."""
        return [obj for _, obj in self._entries.get(key, {}).values()]

    def number(self, key: K, uid: str) -> int | None:
        """Return the version in which an object is there, or None."""
        found = self._entries.get(key, {}).get(uid)
        return found[0] if found else None

    def put(self, key: K, uid: str, number: int, obj: Obj) -> None:
        """Keep an object."""
        self._entries.setdefault(key, {})[uid] = (number, obj)

    def take(self, key: K, uid: str) -> tuple[int, Obj]:
        """Return an object, and keep it no more."""
        found = self._entries[key].pop(uid)
        if not self._entries[key]:
            del self._entries[key]
        return found

    def staying(self, key: K) -> str | None:
        """Return the UID of the first that is not leaving, or None."""
        entries = self._entries.get(key, {}).items()
        return next((uid for uid, (_, obj) in entries if not self.is_leaving(obj)), None)

    def first(self, key: K) -> str:
        """Return the UID of the first that is not leaving, or of the first."""
        return self.staying(key) or next(iter(self._entries[key]))

    def unseen(self, uids: set[str]) -> list[tuple[K, str]]:
        """Return key and UID of each that is not among `uids`."""
        return [(key, uid) for key, entries in self._entries.items() for uid in entries if uid not in uids]
