"""The sidecars and starters in view: which address each has, and what it is to have, which is secret: never logged."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import orjson

from ringfence_operator.control.reports import Poll
from ringfence_operator.control.starters import NO_ORDER


@dataclass(slots=True)
class Sidecar:
    """One pod's sidecar, or starter; `body` is its configuration, or order, as it goes out."""

    uid: str
    address: str
    version: str
    generations: Mapping[str, int]
    """UID of each object that the configuration was made from → the generation that was seen of it."""
    body: bytes = field(repr=False)
    is_starter: bool = False

    def is_news_to(self, poll: Poll) -> bool:
        """Return True if who has what `poll` says is to have this one: other, and not older.

        That there is no order is news to a starter that holds one: what has been taken back must not be carried out.
        """
        if not self.body:
            return False
        if self.version == NO_ORDER:
            return poll.holds_order
        is_older = any(self.generations.get(uid, had) < had for uid, had in poll.generations.items())
        return self.version != poll.version and not is_older


class Roster:
    """All of them, as the operator says. Who waits is woken by a change of the pod that it waits for."""

    def __init__(self) -> None:
        self._sidecars: dict[tuple[str, bool], Sidecar] = {}
        """By the pod's UID, and whether it is the starter: a pool's pod may have both."""
        self._addresses: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        return len(self._sidecars)

    def get(self, uid: str, *, is_starter: bool) -> Sidecar | None:
        """Return the pod's sidecar, or starter; None if it is not in view."""
        return self._sidecars.get((uid, is_starter))

    def either(self, uid: str) -> Sidecar | None:
        """Return one of both; None if the pod is not in view."""
        return self.get(uid, is_starter=False) or self.get(uid, is_starter=True)

    def has_address(self, address: str) -> bool:
        """Return True if a pod in view has that address."""
        return address in self._addresses

    def put(self, message: Mapping[str, Any]) -> None:
        """Take the operator's word of a sidecar, which has no configuration yet if that is None.

        Raises KeyError, TypeError or ValueError.
        """
        configuration = message["configuration"]
        self._list(
            Sidecar(
                uid=str(message["uid"]),
                address=plain_address(str(message["address"])),
                version=str(configuration["version"]) if configuration is not None else "",
                generations=_generations(configuration) if configuration is not None else {},
                body=orjson.dumps(configuration) if configuration is not None else b"",
            )
        )

    def put_starter(self, message: Mapping[str, Any]) -> None:
        """Take the operator's word of a starter, which has no order yet if that is None. Raises as `put`."""
        order = message["order"] or {"version": NO_ORDER, "agent": None}
        self._list(
            Sidecar(
                uid=str(message["uid"]),
                address=plain_address(str(message["address"])),
                version=str(order["version"]),
                generations={},
                body=orjson.dumps(order),
                is_starter=True,
            )
        )

    def _list(self, sidecar: Sidecar) -> None:
        self._unlist(sidecar.uid, is_starter=sidecar.is_starter)
        self._sidecars[sidecar.uid, sidecar.is_starter] = sidecar
        self._addresses[sidecar.address] = self._addresses.get(sidecar.address, 0) + 1
        self._wake(sidecar.uid)

    def drop(self, uid: str, *, is_starter: bool) -> None:
        """The pod is gone, or its sidecar, or starter, is to be told nothing any more."""
        self._unlist(uid, is_starter=is_starter)
        self._wake(uid)

    @contextmanager
    def watch(self, uid: str) -> Iterator[asyncio.Event]:
        """Give an event that is set by the next change of the pod's sidecar."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(uid, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting and self._waiting.get(uid) is waiting:
                del self._waiting[uid]

    def _unlist(self, uid: str, *, is_starter: bool) -> None:
        before = self._sidecars.pop((uid, is_starter), None)
        if before is None:
            return
        left = self._addresses[before.address] - 1
        if left:
            self._addresses[before.address] = left
        else:
            del self._addresses[before.address]

    def _wake(self, uid: str) -> None:
        for event in self._waiting.get(uid, ()):
            event.set()


def plain_address(text: str) -> str:
    """Return an address in its usual form, IPv4 where it was mapped into IPv6. Raises ValueError."""
    found = ip_address(text)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _generations(configuration: Mapping[str, Any]) -> dict[str, int]:
    made_from = (configuration["agent"], *configuration.get("connectors", ()))
    return {str(each["uid"]): int(each["generation"]) for each in made_from}
