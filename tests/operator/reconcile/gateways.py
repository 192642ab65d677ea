"""An egress gateway in memory, and clusters that have one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.egress.ledger import Ledger
from ringfence_operator.reconcile.gateway import Seen, Standing
from ringfence_operator.reconcile.port_set import PortSets
from ringfence_operator.reconcile.security_policy import (
    PolicyTools,
    reconcile_port_set,
    reconcile_security_policy,
    remove_security_policy,
)
from ringfence_operator.resources.port_set import PortSet
from ringfence_operator.settings import Settings
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, policy_body

Raw = dict[str, Any]
SYSTEM = "ringfence-system"
NAMES: Raw = {"allowedDomains": [{"name": "a.io"}]}


class FakeGateway:
    """Implements the port `Gateway`; `served` is what its replicas would serve once they got it."""

    def __init__(self) -> None:
        self.seconds = 0.0
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

    def standing(self, policy: str, replicas: Sequence[str]) -> Standing:
        return self.ledger.standing(policy, replicas)

    def seen(self, policy: str) -> Seen:
        return self.ledger.seen(policy)

    def told(self, policy: str, seen: Seen) -> None:
        self.ledger.told(policy, seen)

    # What the replicas do.

    def join(self, *replicas: str) -> None:
        for replica in replicas:
            self.ledger.hear({"kind": "joined", "replica": replica})

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


class Gated(Cluster):
    """A cluster with an egress gateway of two replicas, and a leader that looks after its policies."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings())
        self.now: datetime = NOW
        for name in ("g1", "g2"):
            self.have_replica(name)
        self.lead()

    def lead(self) -> None:
        """Have a leader that knows what the caches show and nothing more."""
        self.gateway = FakeGateway()
        self.gateway.join("g1", "g2")
        self.port_sets = PortSets(self.view, self.api, self.gateway)
        self.tools = PolicyTools(self.view, self.api, self.networks, port_sets=self.port_sets)

    def have_replica(self, name: str, *, ready: bool = True, phase: str = "Running") -> None:
        self.tables["gatewaypods"].cache.pop((SYSTEM, name), None)
        conditions = [{"type": "Ready", "status": str(ready)}]
        meta = {"name": name, "namespace": SYSTEM, "uid": name, "resourceVersion": "1"}
        slim = self.tables["gatewaypods"]._slim(
            {"metadata": meta, "status": {"phase": phase, "conditions": conditions}}
        )
        self.tables["gatewaypods"].cache[SYSTEM, name] = slim

    def policy(self, name: str = "p", namespace: str = "team") -> SecurityPolicy:
        found: SecurityPolicy = self.view.policies.get(namespace, name)  # type: ignore[assignment]
        return found

    def have_policy(self, name: str = "p", *, namespace: str = "team", **network: Any) -> None:
        self.have("securitypolicies", policy_body(name, namespace=namespace, network=network or NAMES))

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.gateway.seconds += seconds

    async def reconcile(self, name: str = "p", namespace: str = "team") -> float | None:
        return await reconcile_security_policy(self.policy(name, namespace), self.tools, now=self.now)

    async def settle(self, name: str = "p", namespace: str = "team") -> None:
        """Have the policy in force and reported."""
        await self.reconcile(name, namespace)
        self.gateway.acknowledge("g1", "g2")
        await self.reconcile(name, namespace)

    async def delete(self, name: str = "p", namespace: str = "team") -> None:
        self.api.remove(("securitypolicies", namespace, name))
        del self.tables["securitypolicies"].cache[namespace, name]
        await remove_security_policy(namespace, name, self.tools)

    async def look_at(self, service: str = "p-00000") -> float | None:
        return await reconcile_port_set(SYSTEM, service, self.tools)

    def lose(self, plural: str, name: str, namespace: str = SYSTEM) -> None:
        """Delete an object by hand."""
        self.api.remove((plural, namespace, name))
        self.tables[plural].cache.pop((namespace, name))

    def edit(self, plural: str, name: str, namespace: str = SYSTEM, *, labels: Raw | None = None, **spec: Any) -> None:
        """Change an object by hand."""

        def change(raw: Raw) -> None:
            raw["spec"].update(spec)
            if labels is not None:
                raw["metadata"]["labels"] = labels

        self.tables[plural].store(self.api.change((plural, namespace, name), change))

    def status(self, name: str = "p", namespace: str = "team") -> Raw:
        return self.api.objects["securitypolicies", namespace, name]["status"]  # type: ignore[no-any-return]

    def condition(self, kind: str = "Ready", name: str = "p") -> tuple[str, str]:
        found = next(each for each in self.status(name)["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]

    @property
    def services(self) -> list[str]:
        return sorted(
            name for plural, namespace, name in self.api.objects if (plural, namespace) == ("services", SYSTEM)
        )

    def service(self, name: str = "p-00000") -> Raw:
        return self.api.objects["services", SYSTEM, name]
