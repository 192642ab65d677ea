"""Who may have a sidecar's configuration: what is cheap to find out comes first, the API server is asked last."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ringfence_operator.control.allowance import Bucket
from ringfence_operator.control.questions import Questions
from ringfence_operator.control.roster import Roster
from ringfence_operator.control.token import BadTokenError, Claims, claims_of

MOST_REMEMBERED = 16_384
"""Tokens that were vouched for, and as many that were not."""
REVIEWS_PER_SECOND, REVIEWS_AT_ONCE = 0.2, 5.0
"""New tokens of one pod that the API server is asked about: a sidecar has one an hour."""


class RefusedError(Exception):
    """Not let in. `status` is the HTTP code; 401 and 403 are final for the token, others may be tried again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Known:
    pod_uid: str
    """Empty for a token that was refused."""
    expires: float


class Admission:
    """Admits by token and address. Digests of tokens are kept, never tokens."""

    def __init__(self, roster: Roster, reviews: Questions, *, clock: Callable[[], float] = time.time) -> None:
        self.issuer: str | None = None
        self._roster: Final = roster
        self._reviews: Final = reviews
        self._clock: Final = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, _Known] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[str | None]] = {}
        self._budgets: OrderedDict[str, Bucket] = OrderedDict()

    def claims(self, token: str) -> Claims:
        """Return what the token says of itself. Raises RefusedError for one that cannot be good."""
        try:
            claims = claims_of(token, issuer=self.issuer, now=self._clock())
        except BadTokenError as error:
            raise RefusedError(401, str(error)) from error
        if self._recall(self._refused, _digest(token)) is not None:
            raise RefusedError(401, "the API server does not vouch for the token")
        return claims

    async def admit(self, token: str, claims: Claims, address: str) -> None:
        """Return if `token` is good for the pod that it names, which is in view. Raises RefusedError."""
        sidecar = self._roster.either(claims.pod_uid)
        if sidecar is None:
            raise RefusedError(503, "the pod is not known yet, or has no sidecar: try again")
        if sidecar.address != address:
            raise RefusedError(403, "the token is another pod's than the one that this comes from")
        digest = _digest(token)
        known = self._recall(self._known, digest)
        if known is None:
            known = await self._review(token, claims, digest)
        if known.pod_uid != claims.pod_uid:
            raise RefusedError(401, "the API server does not vouch for the token")

    async def _review(self, token: str, claims: Claims, digest: bytes) -> _Known:
        task = self._under_way.get(digest)
        if task is None:
            if not self._budget(claims.pod_uid).take(self._clock()):
                raise RefusedError(429, "too many tokens of this pod that nobody has seen before: try again later")
            task = self._under_way[digest] = asyncio.create_task(self._reviews.review(token))
            task.add_done_callback(lambda _: self._under_way.pop(digest, None))
        # Who asked first may go away; the others go on waiting.
        uid = await asyncio.shield(task)
        if uid is None:
            raise RefusedError(503, "the API server cannot be asked about the token: try again")
        known = _Known(uid, claims.expires)
        _remember(self._known if uid == claims.pod_uid else self._refused, digest, known)
        return known

    def _recall(self, memory: OrderedDict[bytes, _Known], digest: bytes) -> _Known | None:
        known = memory.get(digest)
        if known is None:
            return None
        if known.expires <= self._clock():
            del memory[digest]
            return None
        memory.move_to_end(digest)
        return known

    def _budget(self, uid: str) -> Bucket:
        found = self._budgets.pop(uid, None) or Bucket(
            REVIEWS_PER_SECOND, REVIEWS_AT_ONCE, REVIEWS_AT_ONCE, self._clock()
        )
        self._budgets[uid] = found
        if len(self._budgets) > MOST_REMEMBERED:
            self._budgets.popitem(last=False)
        return found


def _remember(memory: OrderedDict[bytes, _Known], digest: bytes, known: _Known) -> None:
    memory[digest] = known
    if len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
