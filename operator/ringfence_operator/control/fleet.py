"""All gateway replicas: who is here, and what each has in force. What is new goes to the operator."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from ringfence_operator.control.delta import Request
from ringfence_operator.control.node import TYPES, Node
from ringfence_operator.control.resource import Key
from ringfence_operator.control.store import Store

log = structlog.get_logger(__name__)

Tell = Callable[[dict[str, Any]], None]


class UnknownNodeError(ValueError):
    """A node's id is not a pod's name, a slash, and `envoy` or `dns`."""


@dataclass(slots=True)
class _Replica:
    nodes: dict[str, Node] = field(default_factory=dict)
    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What the operator was told last of each block."""

    @property
    def is_complete(self) -> bool:
        return len(self.nodes) == len(TYPES)


class Fleet:
    """The connected gateways, and what the operator knows of them."""

    def __init__(self, store: Store, *, tell: Tell) -> None:
        self._store = store
        self._tell = tell
        self._replicas: dict[str, _Replica] = {}

    def __len__(self) -> int:
        return sum(each.is_complete for each in self._replicas.values())

    def connect(self, node_id: str, *, wake: Callable[[], None]) -> Node:
        """Return the state of a node that has just connected; it takes the place of an earlier one of the same id."""
        replica, _, kind = node_id.partition("/")
        if not replica or kind not in TYPES:
            raise UnknownNodeError(f"{node_id!r}: a node's id is POD/envoy or POD/dns")
        node = Node(replica, kind, self._store, wake=wake)
        found = self._replicas.setdefault(replica, _Replica())
        was_complete = found.is_complete
        found.nodes[kind] = node
        if found.is_complete and not was_complete:
            log.info("gateway.joined", replica=replica)
            self._tell({"kind": "joined", "replica": replica})
        return node

    def disconnect(self, node: Node) -> None:
        """The node's stream has ended. One that has been replaced changes nothing any more."""
        found = self._replicas.get(node.replica)
        if found is None or found.nodes.get(node.kind) is not node:
            return
        if found.is_complete:
            log.info("gateway.left", replica=node.replica)
            self._tell({"kind": "left", "replica": node.replica})
            found.told.clear()
        del found.nodes[node.kind]
        if not found.nodes:
            del self._replicas[node.replica]

    def is_connected(self, node: Node) -> bool:
        """Return False once another stream has taken the node's place."""
        found = self._replicas.get(node.replica)
        return found is not None and found.nodes.get(node.kind) is node

    def receive(self, node: Node, type_url: str, request: Request) -> None:
        """Take a node's word, and tell the operator what it means."""
        touched = node.receive(type_url, request)
        if request.error is not None:
            log.warning("gateway.refused", replica=node.replica, node=node.kind, type=type_url, error=request.error)
        if self.is_connected(node):
            self._report(node.replica, touched)

    def changed(self, keys: Iterable[Key], blocks: Iterable[int]) -> None:
        """These resources are different, and with them perhaps the state of these blocks."""
        for name, replica in self._replicas.items():
            for node in replica.nodes.values():
                node.changed(keys)
                node.wake()
            self._report(name, blocks)

    def _report(self, name: str, blocks: Iterable[int]) -> None:
        replica = self._replicas[name]
        if not replica.is_complete:
            return
        for block in blocks:
            news = self._state(replica, block)
            if news is None:
                replica.told.pop(block, None)
            elif news != replica.told.get(block):
                replica.told[block] = news
                self._tell({"kind": news["kind"], "replica": name, **news})

    def _state(self, replica: _Replica, block: int) -> dict[str, Any] | None:
        nodes = list(replica.nodes.values())
        if not all(node.is_begun for node in nodes):
            return None
        version = self._store.version(block)
        if version is None:
            is_gone = all(node.has_nothing_of(block) for node in nodes)
            return {"kind": "released", "block": block} if is_gone else None
        message = self._store.fault(block) or next(filter(None, (node.refusal(block) for node in nodes)), None)
        if message is not None:
            return {"kind": "refused", "block": block, "version": version, "message": message}
        if all(node.has(block) for node in nodes):
            return {"kind": "inForce", "block": block, "version": version}
        return None
