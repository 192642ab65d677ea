"""Caches without an API server: what was put in is what the operator sees."""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.reconcile import connector_index, meters, pod_index, pool_index, quota_index, view
from ringfence_operator.reconcile.network_verdict import NetworkKnowledge
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources import observed
from ringfence_operator.resources.authority import observe_authority
from ringfence_operator.resources.cilium_network_policy import observe_cilium_policy
from ringfence_operator.resources.network_probe import observe_probe_pod
from ringfence_operator.resources.observed_pod import key_of_agent, observe_pod
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.settings import Settings
from tests.operator.resources.objects import SETTINGS

T = TypeVar("T")
Raw = dict[str, Any]
Key = tuple[str, str]


def key_of(raw: Raw) -> Key:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


class FakeTable(Generic[T]):
    """Keeps the newest version of each object, as an informer does, and tells of each difference."""

    def __init__(
        self,
        slim: Callable[[Raw], T],
        on_change: Callable[[], None],
        index: dict[str, Callable[[T], Iterable[Hashable]]],
        key: Callable[[Raw], Key] = key_of,
        selects: Callable[[Raw], bool] = lambda _: True,
    ) -> None:
        self.cache: dict[Key, T] = {}
        self._slim = slim
        self._on_change = on_change
        self._index = index
        self._key = key
        self._selects = selects
        self._versions: dict[Key, int] = {}
        self._reached = 0

    def get(self, namespace: str, name: str) -> T | None:
        return self.cache.get((namespace, name))

    def keys_by(self, index: str, value: Hashable) -> Collection[Key]:
        return [key for key, obj in self.cache.items() if value in set(self._index[index](obj))]

    def beside(self, *_: str) -> Sequence[T]:
        return ()

    def show(self, namespace: str, name: str, uid: str) -> None:
        pass

    def store(self, raw: Raw, *, wakes: bool = True) -> None:
        if int(raw["metadata"]["resourceVersion"]) > self._reached:
            self._keep(raw, wakes=wakes)

    def follow(self, kind: str, raw: Raw) -> None:
        """Take over an event of the watch."""
        version, key = int(raw["metadata"]["resourceVersion"]), self._key(raw)
        if kind != "DELETED" and self._selects(raw):
            self._keep(raw)
        elif key in self.cache and self._versions[key] <= version:
            del self.cache[key]
            self._on_change()
        self._reached = version

    def _keep(self, raw: Raw, *, wakes: bool = True) -> None:
        version, key = int(raw["metadata"]["resourceVersion"]), self._key(raw)
        if key in self.cache and version <= self._versions[key]:
            return
        old, new = self.cache.get(key), self._slim(raw)
        self.cache[key] = new
        self._versions[key] = version
        if old != new and wakes:
            self._on_change()


SLIM: dict[str, Callable[[Raw], Any]] = {
    "agents": AgentRecord.of,
    "agentpools": AgentPool.from_body,
    "warmpods": observe_pod,
    "securitypolicies": SecurityPolicy.from_body,
    "connectors": Connector.from_body,
    "quotas": Quota.from_body,
    "configmaps": observe_authority,
    "pods": observe_pod,
    "networkpolicies": observed.observe_network_policy,
    "services": observed.observe_service,
    "persistentvolumeclaims": observed.observe_claim,
    "nodes": observed.observe_node,
    "runtimeclasses": observed.observe_name,
    "servicecidrs": observed.observe_service_cidr,
    "endpointslices": observed.observe_endpoints,
    "gatewaypods": observed.observe_gateway_pod,
    "probepods": observe_probe_pod,
    "ciliumnetworkpolicies": observe_cilium_policy,
}
_INDEX: dict[str, dict[str, Callable[[Any], Iterable[Hashable]]]] = {
    "agents": {
        view.BY_POLICY: view.index_by_policy,
        view.BY_CLAIM: view.index_by_claim,
        view.BY_NAMESPACE: view.index_by_namespace,
        connector_index.BY_CONNECTOR: connector_index.index_by_connector,
        connector_index.BY_SECRET: connector_index.index_by_named_secret,
        quota_index.BY_QUOTA: quota_index.index_by_quota,
        quota_index.BY_LABEL: quota_index.index_by_label,
        pool_index.BY_POOL: pool_index.index_by_pool_ref,
    },
    "connectors": {
        view.BY_SERVICE: connector_index.index_by_backend,
        connector_index.BY_SECRET: connector_index.index_by_own_secret,
    },
    "quotas": {
        quota_index.BY_SELECTOR: quota_index.index_by_selector,
        meters.BY_METERED: meters.index_by_metered,
        quota_index.BY_UID: quota_index.index_by_uid,
    },
    "securitypolicies": {view.BY_SERVICE: view.index_by_service},
    "services": {view.PORT_SETS: view.index_port_sets},
    "pods": {
        view.BY_NODE: view.index_by_node,
        view.BY_POD_POLICY: view.index_by_pod_policy,
        pod_index.BY_POD_QUOTA: pod_index.index_by_pod_quota,
        pool_index.BY_POOL: pool_index.index_by_pool,
    },
    "warmpods": {view.BY_NODE: view.index_by_node, pool_index.BY_POOL: pool_index.index_by_pool},
    "networkpolicies": {view.FOREIGN: view.index_foreign},
    "nodes": {view.LACKING: view.index_lacking},
}


def build_tables(on_change: Callable[[], None] = lambda: None) -> dict[str, FakeTable[Any]]:
    """Return an empty cache for each resource, by its plural."""
    tables: dict[str, FakeTable[Any]] = {
        plural: FakeTable(slim, on_change, _INDEX.get(plural, {})) for plural, slim in SLIM.items()
    }
    tables["pods"] = FakeTable(observe_pod, on_change, _INDEX["pods"], key_of_agent, lambda raw: not is_warm(raw))
    tables["warmpods"] = FakeTable(observe_pod, on_change, _INDEX["warmpods"], selects=is_warm)
    return tables


def is_warm(raw: Raw) -> bool:
    """Return True of a pool's pod that no agent has."""
    found = raw["metadata"].get("labels", {})
    return labels.POOL in found and labels.AGENT not in found


def build_view(tables: dict[str, FakeTable[Any]], settings: Settings, *, missing: str = "") -> View:
    return View(
        settings=settings,
        agents=tables["agents"],
        policies=tables["securitypolicies"],
        connectors=tables["connectors"],
        quotas=tables["quotas"],
        authorities=tables["configmaps"],
        pods=tables["pods"],
        pools=tables["agentpools"],
        warm=tables["warmpods"],
        network_policies=tables["networkpolicies"],
        services=tables["services"],
        claims=tables["persistentvolumeclaims"],
        nodes=tables["nodes"],
        runtime_classes=tables["runtimeclasses"],
        service_cidrs=tables["servicecidrs"],
        api_endpoints=tables["endpointslices"],
        gateway_pods=tables["gatewaypods"],
        probe_pods=tables["probepods"],
        network=NetworkKnowledge(),
        cilium=view.Cilium(tables["ciliumnetworkpolicies"], lambda: missing)
        if settings.egress_backend == "cilium"
        else None,
    )


def view_of(settings: Settings | None = None, /, **objects: list[Raw]) -> View:
    """Return a view of `objects`, given by plural."""
    tables = build_tables()
    for plural, raws in objects.items():
        for raw in raws:
            tables[plural].store(raw)
    return build_view(tables, settings or SETTINGS)
