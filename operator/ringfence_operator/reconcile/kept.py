"""Objects of one kind that are kept as they should be, whoever changes them."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from ringfence_operator.errors import AlreadyExistsError, NotFoundError
from ringfence_operator.reconcile.create import replace
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.ports import Kube, Raw, Table, path
from ringfence_operator.resources.observed import Meta


class Observed(Protocol):
    """What is seen of such an object."""

    @property
    def meta(self) -> Meta:
        """Its identity."""

    @property
    def is_ours(self) -> bool:
        """True if it bears our name and our label."""

    @property
    def digest(self) -> str:
        """Digest of what it says."""


def is_as_wanted(present: Observed | None, wanted: str) -> bool:
    """Return True if the object is there, ours, and says what has the digest `wanted`."""
    return present is not None and present.is_ours and present.digest == wanted


class Kept:
    """Writes what differs from what it should be, each object by one worker at a time."""

    def __init__(self, table: Table[Observed], kube: Kube, prefix: str, plural: str) -> None:
        self._table = table
        self._kube = kube
        self._prefix = prefix
        self._plural = plural
        self._locks = Locks()

    async def ensure(self, namespace: str, name: str, build: Callable[[], Raw], wanted: str) -> None:
        """Have the object as `build` makes it; `wanted` is the digest of that."""
        if self._holds(namespace, name, wanted):
            return
        async with self._locks.held((namespace, name)):
            if not self._holds(namespace, name, wanted):
                self._table.store(await self._write(namespace, name, build()))

    async def remove(self, namespace: str, name: str) -> None:
        """Delete the object if it is there and ours."""
        present = self._table.get(namespace, name)
        if present is not None and present.is_ours:
            with suppress(NotFoundError):
                await self._kube.delete(path(self._prefix, namespace, self._plural, name), uid=present.meta.uid)

    async def _write(self, namespace: str, name: str, body: Raw) -> Raw:
        collection = path(self._prefix, namespace, self._plural)
        present = self._table.get(namespace, name)
        if present is not None:
            return await replace(collection, body, present.meta, self._kube)
        try:
            return await self._kube.create(collection, body)
        except AlreadyExistsError:
            # A predecessor made it a moment ago, or it is not ours: what confines agents takes the name.
            found = await self._kube.get(f"{collection}/{name}")
            return await replace(collection, body, Meta.of(found), self._kube)

    def _holds(self, namespace: str, name: str, wanted: str) -> bool:
        return is_as_wanted(self._table.get(namespace, name), wanted)
