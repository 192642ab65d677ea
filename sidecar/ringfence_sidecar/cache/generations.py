"""Tags as generation counters: raising one makes worthless whatever was made before, at the price of one write."""

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from math import ceil
from time import monotonic

from ringfence_sidecar.cache.entry import Generations
from ringfence_sidecar.cache.scripts import BEGIN, BUMP, DOUBT
from ringfence_sidecar.cache.store import Store, StoreAwayError

TRUSTED_SECONDS = 0.1
"""How long a generation that Redis said is taken for the present one: so long may an old answer live elsewhere."""
_MOST = 20_000
_BATCH = 1_000


def _random() -> int:
    return secrets.randbits(62)


def _doubtful() -> int:
    return -1 - _random()


def is_certain(generations: Generations) -> bool:
    """Return False if one of the tags is in doubt: what was made then must not be kept."""
    return min(generations, default=0) >= 0


class TagGenerations:
    """The present generation of each tag, named by its key. With `store` away, or without one, those known here.

    A tag in doubt has another generation, below 0, each time that it is asked for: nothing equals it. Counters live
    `life_seconds` after they were last raised, 0 means for ever; one that is lost begins at random, which only costs a
    question to the backend.
    """

    def __init__(self, store: Store | None, *, life_seconds: int = 0) -> None:
        self._store = store
        self._life_seconds = life_seconds
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Generation, and the monotonic time at which Redis was asked for it."""
        self._owed: dict[str, str] = {}
        """Tags that were raised here while Redis was away, each with the one that may be raised in its place."""
        self._raised: OrderedDict[str, float] = OrderedDict()
        """When a tag was last raised here: what Redis said before that is no news."""
        self._doubts: dict[str, float] = {}
        """Until when a tag is in doubt that was put in doubt here, in monotonic time."""

    @property
    def owed(self) -> int:
        """How many tags Redis has yet to be told of."""
        return len(self._owed)

    def trusted(self, keys: Sequence[str]) -> Generations | None:
        """Return the generations if all of them are certain enough, without asking anybody."""
        since = monotonic() - TRUSTED_SECONDS if self._store is not None else float("-inf")
        found = [self._known.get(key) for key in keys]
        if self._store is not None and any(each is None or each[1] < since for each in found):
            return None
        return self.local(keys)

    def local(self, keys: Sequence[str]) -> Generations:
        """Return the generations as far as this process knows, for want of better."""
        return tuple(self._local(key) for key in keys)

    async def current(self, keys: Sequence[str]) -> Generations:
        """Return the generations. Raises StoreAwayError."""
        found = self.trusted(keys)
        if found is not None or self._store is None:
            return found if found is not None else self.local(keys)
        asked = monotonic()
        return await self.learn(keys, await self._store.read(keys), asked)

    async def learn(self, keys: Sequence[str], said: Sequence[bytes | None], asked: float) -> Generations:
        """Return the generations that Redis `said`; where a counter is missing, it begins. Raises StoreAwayError."""
        missing = [key for key, value in zip(keys, said, strict=True) if value is None or value.startswith(DOUBT)]
        if missing and self._store is not None:
            for key in missing:
                # Where none can begin, no write is seen any more: nothing that was made here before is worth anything.
                self._known.pop(key, None)
            await self._store.run(BEGIN, missing, self._life_seconds, *(_random() for _ in missing))
            asked, said = monotonic(), await self._store.read(keys)
        if any(value is None for value in said):
            raise StoreAwayError("Redis keeps no counters: is there memory for them?")
        return tuple(self._heard(key, value or b"", asked) for key, value in zip(keys, said, strict=True))

    def _heard(self, key: str, value: bytes, asked: float) -> int:
        return _doubtful() if value.startswith(DOUBT) else self._learn(key, int(value), asked)

    def _local(self, key: str) -> int:
        if self._doubted_seconds(key) > 0:
            return _doubtful()
        return self._known[key][0] if key in self._known else self._learn(key, _random(), 0.0)

    def _learn(self, key: str, generation: int, asked: float) -> int:
        if asked > 0.0 and (key in self._owed or asked < self._raised.get(key, 0.0)):
            # Redis has said that before it knew of what was raised here.
            return self._local(key)
        self._known[key] = (generation, asked)
        self._known.move_to_end(key)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return generation

    async def raise_all(self, keys: Sequence[str], *, whole: str, doubt: float = 0.0) -> None:
        """Make worthless what was made from any of `keys` before now, here at once and everywhere by one round trip.

        With `doubt`, what is made in so many seconds from now on is worthless as well. Raises StoreAwayError; it is
        made good once Redis is back. If that is more than can be remembered, it is made good by raising `whole`, which
        all that was made from any of the keys was made from besides.
        """
        if doubt > 0:
            keys = self._doubt(keys, whole, monotonic() + doubt)
        for key in keys:
            self._learn(key, _random(), 0.0)
        if self._store is None:
            return
        self._owe(keys, whole)
        await self._pay([key for key in (*keys, whole) if key in self._owed])

    async def settle(self) -> None:
        """Do what is owed to Redis since it was away. Raises StoreAwayError."""
        owed = list(self._owed)
        for start in range(0, len(owed), _BATCH):
            await self._pay(owed[start : start + _BATCH])

    def _doubt(self, keys: Sequence[str], whole: str, until: float) -> Sequence[str]:
        """Put tags in doubt; return those that are, or the one that is in their place."""
        self._doubts = {key: end for key, end in self._doubts.items() if end > monotonic()}
        if len(self._doubts) + len(keys) > _MOST:
            keys = (whole,)
        self._doubts.update((key, max(until, self._doubts.get(key, 0.0))) for key in keys)
        return keys

    def _doubted_seconds(self, key: str) -> float:
        return max(0.0, self._doubts[key] - monotonic()) if key in self._doubts else 0.0

    def _owe(self, keys: Sequence[str], whole: str) -> None:
        if whole in self._owed:
            return
        self._owed.update(dict.fromkeys(keys, whole))
        if len(self._owed) > _MOST:
            self._owed = {key: each for key, each in self._owed.items() if each != whole}
            self._owed[whole] = whole
            self._learn(whole, _random(), 0.0)

    async def _pay(self, keys: Sequence[str]) -> None:
        if self._store is not None:
            words = [(_random(), ceil(1000 * self._doubted_seconds(key))) for key in keys]
            await self._store.run(BUMP, keys, self._life_seconds, *chain.from_iterable(words))
            for key in keys:
                self._owed.pop(key, None)
                self._known.pop(key, None)
                self._raised[key] = monotonic()
                self._raised.move_to_end(key)
            while len(self._raised) > _MOST:
                self._raised.popitem(last=False)
