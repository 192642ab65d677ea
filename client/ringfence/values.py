"""The agent's own values, which its sidecar keeps for it: in Redis where there is one."""

from collections.abc import Sequence
from typing import Any

from ringfence.envelope import Envelope
from ringfence.errors import ValueNotFoundError
from ringfence.local import LOCAL
from ringfence.transport import Transport, segment


class Cache:
    """JSON values under keys, for a time, with tags to forget them by."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value under a key, or `default`. Raises CallError, UnreachableError."""
        found = await self.find(key)
        return default if found is None else found.data["value"]

    async def find(self, key: str) -> Envelope | None:
        """Return the envelope of a value, whose metadata say how old it is, or None if there is none."""
        try:
            return await self._transport.call("GET", _path(key))
        except ValueNotFoundError:
            return None

    async def set(self, key: str, value: Any, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Keep a value for `ttl` seconds, or an hour. Raises CallError, UnreachableError."""
        body: dict[str, Any] = {"value": value, "tags": list(tags)}
        await self._transport.call("PUT", _path(key), body if ttl is None else {**body, "ttlSeconds": ttl})

    async def delete(self, key: str) -> None:
        """Forget a value. Raises CallError, UnreachableError."""
        await self._transport.call("DELETE", _path(key))

    async def invalidate_tag(self, tag: str) -> None:
        """Forget all values that have the tag, those of `cached` functions among them.

        In this process they are gone though the sidecar may not be reached. Raises CallError, UnreachableError.
        """
        try:
            await self._transport.call("POST", "/cache/invalidate_tag", {"tag": tag})
        finally:
            LOCAL.invalidate(tag)  # only now: until then, what is forgotten could be read from the sidecar again


def _path(key: str) -> str:
    return f"/cache/{segment(key)}"
