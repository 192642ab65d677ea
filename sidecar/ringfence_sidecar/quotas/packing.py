"""What the scripts are given, as bytes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from ringfence_sidecar.quotas.buckets import Asked, Bucket, Grants
from ringfence_sidecar.quotas.ledger import Ledger, News
from ringfence_sidecar.quotas.scripts import DIGESTS
from ringfence_sidecar.quotas.wire import arguments

LEASE_SECONDS: Final = 10.0
_HEAD = ("epoch", "pods", "pod:{pod}", "total:{pod}", "touched", "waiting")
_ENFORCEMENTS = {"Hard": "H", "Soft": "S", "Warn": "W"}
_FIRST_KEYS = len(_HEAD)
_FIXED = 3
"""EVALSHA, the digest, and the number of keys."""
_FIRST_ARGUMENTS = 7
_WORDS_OF_RESERVE = 3
_WHOLE = 2**53
"""Beyond, not every whole number is one of Lua's."""
_MOST_RESERVES = 64
_CALLS = {name: arguments(b"EVALSHA", digest) for name, digest in DIGESTS.items()}


@lru_cache(maxsize=4_096)
def _packed_number(amount: float) -> bytes:
    return arguments(number(amount))


def number(amount: float) -> bytes:
    """Return an amount as the scripts read it."""
    return b"%d" % amount if amount == int(amount) else b"%.6f" % amount


def _plain(amount: float) -> float:
    """Return an amount as MessagePack is to have it: to a millionth, and whole if it is."""
    return int(amount) if amount % 1 == 0 and abs(amount) < _WHOLE else round(float(amount), 6)


class Packer:
    """Packs for one pod on one server."""

    def __init__(self, prefix: str, *, pod: str, agent: str, run: bytes, keeps: bool, lease: float) -> None:
        self._prefix = prefix
        root = f"{prefix}quota:"
        self._keys = arguments(*((root + name.format(pod=pod)).encode() for name in _HEAD))
        self._before = arguments(root.encode(), run, b"1" if keeps else b"0")
        self._after = arguments(pod.encode(), agent.encode(), number(int(lease * 1000)))
        self._names: dict[str, bytes] = {}
        self._joined = arguments(b"")
        self._reserves: dict[int, tuple[Sequence[Asked], bytes, bytes]] = {}
        """By id of what is asked, if that cannot change: it, and the command before and after the lot's name."""

    def join_as(self, joined: bytes) -> None:
        """Take over what the store said as this pod joined."""
        self._joined = arguments(joined)
        self._reserves.clear()

    def reserve(self, lot: str, asked: Sequence[Asked], *, final: bool, counts: bool = True) -> bytes:
        """Return the command that takes a lot. `final` counts a refusal by a Soft limit as one; not `counts`, none."""
        found = self._reserves.get(id(asked))
        if found is None or found[0] is not asked:
            found = asked, *self._parts_of_reserve(asked)
            # What is in a tuple stays as it is, and its id its own as long as it is kept here.
            if isinstance(asked, tuple):
                if len(self._reserves) >= _MOST_RESERVES:
                    self._reserves.clear()
                self._reserves[id(asked)] = found
        name, said = lot.encode(), (b"1" if final else b"0") if counts else b"never"
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n%b" % (found[1], len(name), name, len(said), said, found[2])

    def _parts_of_reserve(self, asked: Sequence[Asked]) -> tuple[bytes, bytes]:
        said: list[str | float] = []
        for each in asked:
            limit = each.bucket.limit
            said += (each.bucket.shape.code, _plain(limit.max), _ENFORCEMENTS[limit.enforcement])
            said += (_plain(each.amount), _plain(each.least))
        before = self._whole("reserve", [each.bucket for each in asked], _WORDS_OF_RESERVE, b"")
        return before, arguments(msgspec.msgpack.encode(said))

    def tell(self, news: News, totals: dict[str, float], buckets: Sequence[Bucket]) -> bytes:
        """Return the command that tells news; `buckets` are those of it, and those that figures are wanted of."""
        index = {bucket.key: b"%d" % at for at, bucket in enumerate(buckets)}
        words = [bucket.shape.code.encode() for bucket in buckets]
        words += _lots(news.lots, index)
        words.append(b"%d" % len(news.totals))
        for key in news.totals:
            words += (index[key], number(totals[key]))
        words.append(b"%d" % len(news.refused))
        for bucket, times in news.refused.items():
            words += (index[bucket.key], b"%d" % times)
        words.append(b"%d" % len(news.warned))
        for bucket, percent in news.warned:
            words += (index[bucket.key], b"%d" % percent)
        return self._command("tell", buckets, words)

    def join(self, ledger: Ledger, nonce: bytes, now: int) -> bytes:
        """Return the command that says everything."""
        found = {bucket.key: bucket for grants in ledger.lots.values() for bucket in grants}
        found |= {key: bucket for key, (bucket, _) in ledger.slots.items()}
        index = {key: b"%d" % at for at, key in enumerate(found)}
        words = [nonce]
        for key, bucket in found.items():
            present = ledger.slots[key][1].present(now) if key in ledger.slots else []
            words += (bucket.shape.code.encode(), number(ledger.totals.get(key, 0.0)), b"%d" % len(present))
            for slot, amount in present:
                words += (b"%d" % slot, number(amount))
        words += _lots(ledger.lots, index)
        return self._command("join", list(found.values()), words)

    def leave(self) -> bytes:
        """Return the command that forgets the pod."""
        return self._command("leave", (), ())

    def _command(self, script: str, buckets: Sequence[Bucket], words: Sequence[bytes]) -> bytes:
        return self._whole(script, buckets, len(words), arguments(*words))

    def _whole(self, script: str, buckets: Sequence[Bucket], count: int, words: bytes) -> bytes:
        keys = len(buckets)
        total = _FIXED + _FIRST_KEYS + keys + _FIRST_ARGUMENTS + count
        return b"".join(
            (
                b"*%d\r\n" % total,
                _CALLS[script],
                _packed_number(_FIRST_KEYS + keys),
                self._keys,
                *(self._name(bucket.key) for bucket in buckets),
                self._before,
                self._joined,
                self._after,
                words,
            )
        )

    def _name(self, key: str) -> bytes:
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = arguments(f"{self._prefix}{key}".encode())
        return name


def _lots(lots: dict[str, Grants], index: dict[str, bytes]) -> list[bytes]:
    words = [b"%d" % len(lots)]
    for lot, grants in lots.items():
        words += (lot.encode(), b"%d" % len(grants))
        for bucket, amount in grants.items():
            words += (index[bucket.key], number(amount))
    return words
