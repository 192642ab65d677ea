"""A cache of one resource that follows the API server: list, then watch, for ever."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import structlog

from ringfence_operator.errors import ExpiredError, KubeError
from ringfence_operator.kube.beside import Beside

Obj = TypeVar("Obj")
Raw = dict[str, Any]
IndexFunction = Callable[[Obj], Iterable[Hashable]]
KeyFunction = Callable[[Raw], tuple[str, str]]

log = structlog.get_logger(__name__)

_FIRST_DELAY = 0.1
_MAX_DELAY = 10.0


class Key(NamedTuple):
    """An object's place in its resource; the namespace of a cluster-scoped one is empty."""

    namespace: str
    name: str


class Change(NamedTuple, Generic[Obj]):
    """What became different: `old` is None for a new object, `new` for a deleted one."""

    key: Key
    old: Obj | None
    new: Obj | None


class Source(Protocol):
    """One resource of the API server, or some of its objects (see `source.ApiSource`)."""

    def pages(self) -> AsyncGenerator[tuple[list[Raw], str], None]:
        """Yield all objects in pages, each with the list's resourceVersion."""

    def watch(self, version: str) -> AsyncGenerator[Raw, None]:
        """Yield the events after `version`; bookmarks too. Raises ExpiredError when it is too old."""


class _Version(NamedTuple):
    number: int
    uid: str


def key_of(raw: Raw) -> tuple[str, str]:
    """Return namespace and name of an object."""
    metadata = raw["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Informer(Generic[Obj]):
    """The objects of one resource by key, as `slim` made them; `on_change` hears of each difference.

    `key` says under which key an object is kept, if not under its own; one that comes to have another leaves the
    former. Of several objects that it brings under one key, one is shown: the first that `is_leaving` is not true of.
    The others stand beside it (`beside`), and one of them follows when it goes, or `show` is asked for it.

    An object that equals (==) the cached one replaces it without a word, so what `slim` leaves out,
    or compares as equal (a `resource_version` with `field(compare=False)`), never wakes anybody.
    An older version of an object never replaces a newer one. Raw objects are not kept.
    `slim` gets an object without `kind` and `apiVersion` (lists omit them) and must not fail: an
    object for which it raises ValueError, KeyError or TypeError is logged and stays as it was.
    """

    def __init__(
        self,
        source: Source,
        *,
        slim: Callable[[Raw], Obj],
        on_change: Callable[[Change[Obj]], None],
        name: str = "",
        index: Mapping[str, IndexFunction[Obj]] | None = None,
        key: KeyFunction = key_of,
        is_leaving: Callable[[Obj], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.cache: dict[Key, Obj] = {}
        self.synced = asyncio.Event()
        self._source = source
        self._slim = slim
        self._key = key
        self._moved: dict[str, Key] = {}
        """By UID, the keys of objects that are kept under another than their own."""
        self._beside: Beside[Key, Obj] = Beside(is_leaving)
        self._on_change = on_change
        self._index = index or {}
        self._indexed: dict[str, dict[Hashable, set[Key]]] = {name: {} for name in self._index}
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._versions: dict[Key, _Version] = {}
        self._position = ""
        self._heard = self._failed = clock()
        self._reached = 0
        self._events = 0

    def __len__(self) -> int:
        """Return the number of objects in the cache."""
        return len(self.cache)

    @property
    def stalled_seconds(self) -> float:
        """How long ago the server last said anything or failed to: beyond any watch's length, we are stuck."""
        return self._clock() - max(self._heard, self._failed)

    def get(self, namespace: str, name: str) -> Obj | None:
        """Return the object of that name, or None."""
        return self.cache.get(Key(namespace, name))

    def keys_by(self, index: str, value: Hashable) -> Collection[Key]:
        """Return the keys of the objects for which the index function yields `value`. Not to be changed or kept."""
        return self._indexed[index].get(value, frozenset())

    def beside(self, namespace: str, name: str) -> list[Obj]:
        """Return the other objects of that key; only one that is given by `key` can have any."""
        return self._beside.of(Key(namespace, name))

    def show(self, namespace: str, name: str, uid: str) -> None:
        """Of the objects of that key, have the one with this UID be what `get` returns, if it is one of them."""
        key = Key(namespace, name)
        if self._beside.number(key, uid) is not None:
            self._exchange(key, uid)

    def store(self, raw: Raw, *, wakes: bool = True) -> None:
        """Put the answer to a write into the cache at once, unless the watch has come past it already.

        `on_change` hears of it, because the answer may carry somebody else's change as well; not so with `wakes`
        False, for a writer who knows that it cannot, and what the object is now.
        """
        # What the watch has passed is in the cache, overtaken, or deleted: then it must not come back.
        if int(raw["metadata"]["resourceVersion"]) > self._reached:
            self._keep(raw, wakes=wakes)

    async def run(self) -> None:
        """Keep the cache up to date until cancelled; errors of the server only delay it."""
        failures = 0
        while True:
            before = self._events
            try:
                if not self._position:
                    await self._relist()
                await self._follow()
            except ExpiredError:
                log.info("informer.expired", informer=self.name)
                self._position = ""
            except KubeError as error:
                log.warning("informer.interrupted", informer=self.name, reason=error.reason, error=str(error))
            self._failed = self._clock()
            failures = 0 if self._events > before else failures + 1
            if failures:
                await self._sleep(self._delay(failures))

    def _delay(self, failures: int) -> float:
        return min(_MAX_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 16)) * (1 - self._jitter() / 2)

    async def _relist(self) -> None:
        """Replace the cache by what the server has; what has gone unseen is reported as deleted."""
        seen: set[Key] = set()
        uids: set[str] = set()
        position = ""
        async with aclosing(self._source.pages()) as pages:
            async for page, version in pages:
                position = version
                self._heard = self._clock()
                seen.update(self._keep(raw) for raw in page)
                uids.update(raw["metadata"]["uid"] for raw in page)
                page.clear()  # the next page is read while this one would still be held
        self._reach(position)
        # An object newer than the list was stored meanwhile: the watch will tell what became of it.
        for key, have in [*self._versions.items()]:
            if have.number <= self._reached and (key not in seen or (key in self._beside and have.uid not in uids)):
                self._drop(key)
        for key, uid in self._beside.unseen(uids):
            self._leave(key, uid, self._reached)
        self.synced.set()

    async def _follow(self) -> None:
        """Take over the events since the last one seen until the server ends the watch."""
        async with aclosing(self._source.watch(self._position)) as events:
            async for event in events:
                self._events += 1
                self._heard = self._clock()
                raw = event["object"]
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        self._keep(raw)
                    case "DELETED":
                        self._deleted(raw)
                self._reach(raw["metadata"]["resourceVersion"])

    def _reach(self, version: str) -> None:
        self._position = version
        self._reached = int(version)

    def _keep(self, raw: Raw, *, wakes: bool = True) -> Key:
        metadata = raw["metadata"]
        key = Key(*self._key(raw))
        # Versions of one resource are ordered numbers (KEP-5504), across deletion and re-creation too.
        version = _Version(int(metadata["resourceVersion"]), metadata["uid"])
        have = self._versions.get(key)
        is_beside = have is not None and have.uid != version.uid and self._brings_together(raw, key, have.uid)
        number = self._beside.number(key, version.uid) if is_beside else have.number if have else None
        if (number is not None and version.number <= number) or not self._move(raw, key):
            return key
        try:
            new = self._slim(raw)
        except (ValueError, KeyError, TypeError) as error:
            log.error("informer.unreadable", informer=self.name, key=key, error=str(error))  # noqa: TRY400
            return key
        if is_beside:
            self._put_beside(key, version, new)
            return key
        old = self.cache.get(key)
        self.cache[key] = new
        self._versions[key] = version
        if have is None or have.uid != version.uid or old != new:
            self._changed(Change(key, old, new), wakes=wakes)
        if key in self._beside:
            self._give_way(key)
        return key

    def _brings_together(self, raw: Raw, key: Key, shown: str) -> bool:
        """Return True if two objects share the key because of `key`; of one name, the second follows the first."""
        return shown in self._moved or key != key_of(raw)

    def _put_beside(self, key: Key, version: _Version, new: Obj) -> None:
        """Keep it, and tell of it in any case: who wrote it did not know that there is another."""
        self._beside.put(key, version.uid, version.number, new)
        if not self._give_way(key):
            self._on_change(Change(key, self.cache[key], self.cache[key]))

    def _give_way(self, key: Key) -> bool:
        """Have what is leaving replaced by what is not, if there is such a thing."""
        uid = self._beside.staying(key) if self._beside.is_leaving(self.cache[key]) else None
        if uid is not None:
            self._exchange(key, uid)
        return uid is not None

    def _exchange(self, key: Key, uid: str) -> None:
        shown, old = self._versions[key], self.cache[key]
        self._take(key, uid)
        self._beside.put(key, shown.uid, shown.number, old)
        self._changed(Change(key, old, self.cache[key]))

    def _take(self, key: Key, uid: str) -> None:
        """Have what stood beside another be what the key shows."""
        number, self.cache[key] = self._beside.take(key, uid)
        self._versions[key] = _Version(number, uid)

    def _move(self, raw: Raw, key: Key) -> bool:
        """Take an object away from under a former key; False if it is there in a newer version."""
        metadata = raw["metadata"]
        own = Key(*key_of(raw))
        before = self._moved.get(metadata["uid"], own)
        have = self._versions.get(before)
        if before != key and have is not None and have.uid == metadata["uid"]:
            if have.number >= int(metadata["resourceVersion"]):
                return False
            self._drop(before)
        if key != own:
            self._moved[metadata["uid"]] = key
        return True

    def _deleted(self, raw: Raw) -> None:
        metadata = raw["metadata"]
        key = self._moved.get(metadata["uid"]) or Key(*key_of(raw))
        have = self._versions.get(key)
        # Its successor of the same name may have been stored from a write already.
        if have is not None and have.uid == metadata["uid"] and have.number <= int(metadata["resourceVersion"]):
            self._drop(key)
        else:
            self._leave(key, metadata["uid"], int(metadata["resourceVersion"]))

    def _leave(self, key: Key, uid: str, number: int) -> None:
        """Forget one that stood beside another, if it was not seen later."""
        have = self._beside.number(key, uid)
        if have is not None and have <= number:
            self._moved.pop(uid, None)
            self._beside.take(key, uid)

    def _drop(self, key: Key) -> None:
        self._moved.pop(self._versions.pop(key).uid, None)
        old = self.cache.pop(key)
        if key in self._beside:
            self._take(key, self._beside.first(key))
        self._changed(Change(key, old, self.cache.get(key)))

    def _changed(self, change: Change[Obj], *, wakes: bool = True) -> None:
        for name, values_of in self._index.items():
            entries = self._indexed[name]
            before = set() if change.old is None else set(values_of(change.old))
            after = set() if change.new is None else set(values_of(change.new))
            for value in before - after:
                entries[value].discard(change.key)
                if not entries[value]:
                    del entries[value]
            for value in after - before:
                entries.setdefault(value, set()).add(change.key)
        if wakes:
            self._on_change(change)
