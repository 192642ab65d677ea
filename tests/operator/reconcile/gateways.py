"""A cluster in memory that has an egress gateway, and a leader that looks after its policies."""

from datetime import datetime, timedelta
from typing import Any

from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.reconcile.port_set import PortSets
from ringfence_operator.reconcile.security_policy import (
    PolicyTools,
    reconcile_port_set,
    reconcile_security_policy,
    remove_security_policy,
)
from ringfence_operator.settings import Settings
from tests.operator.reconcile.fake_gateway import FakeGateway
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, policy_body

Raw = dict[str, Any]
SYSTEM = "ringfence-system"
NAMES: Raw = {"allowedDomains": [{"name": "a.io"}]}


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
        self.now = self.now + timedelta(seconds=seconds)
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
        again = await reconcile_port_set(SYSTEM, service, self.tools)
        self.tell_of_deletions()
        return again

    def tell_of_deletions(self) -> None:
        """Have the watch tell which NetworkPolicies were deleted."""
        cache = self.tables["networkpolicies"].cache
        for namespace, name in list(cache):
            if ("networkpolicies", namespace, name) not in self.api.objects:
                del cache[namespace, name]

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
