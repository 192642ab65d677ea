"""One node of a gateway pod, Envoy or the responder: its types, in the order that cuts nothing short."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ringfence_operator.control.delta import BY_NAME, Delta, Request, Response
from ringfence_operator.control.resource import (
    CLUSTER,
    DNS_TYPES,
    ENVOY_TYPES,
    LISTENER,
    METER,
    METER_PAST,
    Key,
    block_of,
)
from ringfence_operator.control.store import Store

ENVOY, DNS = "envoy", "dns"
_NOT_AWAITED = (*BY_NAME, METER, METER_PAST)
"""Routes are asked for by listeners only, so perhaps never; and earlier gateways know of no meter, or of no past."""
TYPES: Mapping[str, tuple[str, ...]] = {ENVOY: ENVOY_TYPES, DNS: DNS_TYPES}
"""By the last part of a node's id."""


class Node:
    """A connected node. `wake` is called when there may be something to send to it."""

    def __init__(self, replica: str, kind: str, store: Store, *, wake: Callable[[], None]) -> None:
        self.replica: Final = replica
        self.kind: Final = kind
        self.wake: Final = wake
        self._store = store
        stays = {CLUSTER: self._is_in_use}
        self._types = {each: Delta(each, store.of_type(each), must_stay=stays.get(each)) for each in TYPES[kind]}

    def receive(self, type_url: str, request: Request) -> set[int]:
        """Take a request; return the blocks whose state may be another now. Other types are not answered."""
        delta = self._types.get(type_url)
        if delta is None:
            return set()
        was_begun = self.is_begun
        touched = delta.receive(request)
        return touched if was_begun or not self.is_begun else {*touched, *self._store.blocks()}

    @property
    def is_begun(self) -> bool:
        """True once the node has said what it has."""
        return all(delta.is_begun for type_url, delta in self._types.items() if type_url not in _NOT_AWAITED)

    def changed(self, keys: Iterable[Key]) -> None:
        """These resources are new, different or gone."""
        for type_url, name in keys:
            if type_url in self._types:
                self._types[type_url].changed(name)

    def next_response(self) -> Response | None:
        """Return what is to be sent now, or None."""
        for delta in self._types.values():
            response = delta.next_response()
            if response is not None:
                return response
        return None

    def has(self, block: int) -> bool:
        """Return True if the node has acknowledged everything of the block as it is now, and has nothing else of it."""
        wanted = [each for each in self._store.of_block(block) if each.type_url in self._types]
        names = {each.key for each in wanted}
        left = ((type_url, name) for type_url, delta in self._types.items() for name in delta.names_of(block))
        return all(self._types[each.type_url].has(each) for each in wanted) and names.issuperset(left)

    def has_nothing_of(self, block: int) -> bool:
        """Return True if the node has acknowledged that everything of the block is gone."""
        return not any(delta.names_of(block) for delta in self._types.values())

    def refusal(self, block: int) -> str | None:
        """Return the message with which the node refused a resource of the block as it is now, else None."""
        resources = (each for each in self._store.of_block(block) if each.type_url in self._types)
        messages = (self._types[each.type_url].refusal(each) for each in resources)
        return next((message for message in messages if message is not None), None)

    def _is_in_use(self, cluster: str) -> bool:
        """Return True if a listener that the client may have could still lead to the cluster."""
        listeners = self._types[LISTENER]
        if not listeners.is_begun:
            return True
        block = block_of(cluster)
        return not listeners.is_settled if block is None else bool(listeners.names_of(block))
