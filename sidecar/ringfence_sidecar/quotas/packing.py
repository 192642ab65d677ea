"""What the scripts are given, as bytes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.quotas.buckets import Asked, Bucket, Grants
from ringfence_sidecar.quotas.ledger import Ledger, News
from ringfence_sidecar.quotas.scripts import DIGESTS
from ringfence_sidecar.quotas.windows import Shape
from ringfence_sidecar.quotas.wire import arguments

LEASE_SECONDS: Final = 10.0
_HEAD = ("epoch", "pods", "pod:{pod}", "total:{pod}", "touched", "waiting")
_ENFORCEMENTS = {"Hard": b"H", "Soft": b"S", "Warn": b"W"}
_FIRST_KEYS = len(_HEAD)
_FIXED = 3
"""EVALSHA, the digest, and the number of keys."""
_FIRST_ARGUMENTS = 7
_WORDS_OF_ASKED = 5
_CALLS = {name: arguments(b"EVALSHA", digest) for name, digest in DIGESTS.items()}


@lru_cache(maxsize=4_096)
def _packed_number(amount: float) -> bytes:
    return arguments(number(amount))


@lru_cache(maxsize=256)
def _packed_limit(limit: Limit) -> bytes:
    shape = Shape(limit.window, limit.calendar)
    return arguments(shape.code.encode(), number(limit.max), _ENFORCEMENTS[limit.enforcement])


def number(amount: float) -> bytes:
    """Return an amount as the scripts read it."""
    return b"%d" % amount if amount == int(amount) else b"%.6f" % amount


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

    def join_as(self, joined: bytes) -> None:
        """Take over what the store said as this pod joined."""
        self._joined = arguments(joined)

    def reserve(self, lot: str, asked: Sequence[Asked], *, final: bool, counts: bool = True) -> bytes:
        """Return the command that takes a lot. `final` counts a refusal by a Soft limit as one; not `counts`, none."""
        parts = [arguments(lot.encode(), (b"1" if final else b"0") if counts else b"never")]
        for each in asked:
            parts += (
                _packed_limit(each.bucket.limit),
                _packed_number(each.amount),
                _packed_number(each.least),
            )
        words = 2 + _WORDS_OF_ASKED * len(asked)
        return self._whole("reserve", [each.bucket for each in asked], words, b"".join(parts))

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
