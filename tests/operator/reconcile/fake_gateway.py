"""An egress gateway in memory: what it was told, and what its replicas answer."""

from collections.abc import Sequence

from ringfence_operator.egress.ledger import Ledger
from ringfence_operator.reconcile.gateway import Seen, Standing
from ringfence_operator.resources.port_set import PortSet


class FakeGateway:
    """Implements the port `Gateway`; `served` is what its replicas would serve once they got it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.fixed: Standing | None = None
        """Where every policy stands, whatever was told."""
        self.changed: list[str] = []
        self.served: dict[int, PortSet] = {}
        self.ledger = Ledger(on_change=self.changed.append, on_seen=lambda _: None, clock=lambda: self.seconds)

    def publish(self, port_set: PortSet, *, generation: int) -> None:
        if self.ledger.publish(port_set, generation=generation):
            self.served[port_set.block] = port_set

    def withdraw(self, block: int) -> None:
        self.ledger.withdraw(block)
        self.served.pop(block, None)

    def holder(self, block: int) -> str:
        return self.ledger.holder(block)

    def is_released(self, block: int, replicas: Sequence[str]) -> bool:
        return self.ledger.is_released(block, replicas)

    def is_closing(self, block: int, replicas: Sequence[str]) -> bool:
        return self.ledger.is_closing(block, replicas)

    def former(self, block: int) -> PortSet | None:
        return self.ledger.former(block)

    def standing(self, policy: str, replicas: Sequence[str]) -> Standing:
        return self.fixed or self.ledger.standing(policy, replicas)

    def seen(self, policy: str) -> Seen:
        return self.ledger.seen(policy)

    def told(self, policy: str, seen: Seen) -> None:
        self.ledger.told(policy, seen)

    # What the replicas do.

    def join(self, *replicas: str) -> None:
        for replica in replicas:
            self.ledger.hear({"kind": "joined", "replica": replica})

    def leave(self, replica: str) -> None:
        self.ledger.hear({"kind": "left", "replica": replica})

    def acknowledge(self, *replicas: str) -> None:
        """Have everything in force, and whatever was withdrawn released."""
        for replica in replicas:
            for block, each in self.served.items():
                message = {"kind": "inForce", "replica": replica, "block": block, "version": each.version}
                self.ledger.hear(message)
            for block in self.ledger.withdrawn:
                self.ledger.hear({"kind": "released", "replica": replica, "block": block})

    def refuse(self, replica: str, block: int, why: str) -> None:
        version = self.served[block].version
        self.ledger.hear({"kind": "refused", "replica": replica, "block": block, "version": version, "message": why})

    def see(self, block: int, *names: str, verdict: str = "allowed", count: int = 1) -> None:
        told = [
            {"block": block, "name": name, "port": 443, "verdict": verdict, "count": count, "last": 1.0}
            for name in names
        ]
        self.ledger.hear({"kind": "seen", "replica": "g1", "names": told, "other": []})
