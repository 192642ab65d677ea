"""What the pipeline asks of the cache."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ringfence_sidecar.configuration import CachePolicy
from ringfence_sidecar.envelope import CacheInfo, Notice

Load = Callable[[], Awaitable[tuple[bytes, bool]]]
"""Asks the backend: returns the encoded answer, and whether it may be kept."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, encoded, and where it came from."""

    body: bytes
    info: CacheInfo
    warnings: tuple[Notice, ...] = ()


class AnswerCache(Protocol):
    """Keeps encoded answers. Redis slow or away never fails a call: it becomes a warning."""

    async def fetch(
        self,
        connector: str,
        material: tuple[str, ...],
        tags: frozenset[str],
        policy: CachePolicy,
        load: Load,
        *,
        refresh: bool = False,
    ) -> Fetched:
        """Return the answer under `material`, or ask `load` once for all who wait for it, here and in other pods.

        `connector` bounds statistics; `tags` are the tables (or the like) that it was made from; `refresh` asks the
        backend whatever is kept. What `load` raises goes to every waiter, unless something stale may be served.
        """

    async def invalidate(self, connector: str, tags: frozenset[str], *, doubt: float = 0.0) -> tuple[Notice, ...]:
        """Let no pod serve what was made from one of `tags` before now, nor `doubt` seconds from now on.

        `doubt` is for a write that may yet be done: what is read until then may be what was there before it.
        """

    @property
    def is_reachable(self) -> bool | None:
        """Whether Redis answers; None if there is none."""
