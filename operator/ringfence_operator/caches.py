"""The caches of everything the operator watches."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.changes import Changes
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.informer import Change, Informer, KeyFunction, key_of
from ringfence_operator.kube.source import ApiSource, OptionalSource
from ringfence_operator.reconcile.cilium import PLURAL
from ringfence_operator.reconcile.connector_index import (
    BY_CONNECTOR,
    BY_SECRET,
    index_by_backend,
    index_by_connector,
    index_by_named_secret,
    index_by_own_secret,
)
from ringfence_operator.reconcile.meters import BY_METERED, index_by_metered
from ringfence_operator.reconcile.network_verdict import NetworkKnowledge
from ringfence_operator.reconcile.pod_index import BY_POD_QUOTA, index_by_pod_quota
from ringfence_operator.reconcile.pool_index import BY_POOL, FREE, index_by_pool, index_by_pool_ref, index_free
from ringfence_operator.reconcile.ports import CILIUM, CORE, NETWORKING, RINGFENCE, Task, path
from ringfence_operator.reconcile.quota_index import (
    BY_LABEL,
    BY_QUOTA,
    BY_SELECTOR,
    BY_UID,
    index_by_label,
    index_by_quota,
    index_by_selector,
    index_by_uid,
)
from ringfence_operator.reconcile.view import (
    BY_CLAIM,
    BY_NAMESPACE,
    BY_NODE,
    BY_POD_POLICY,
    BY_POLICY,
    BY_SERVICE,
    FOREIGN,
    LACKING,
    PORT_SETS,
    Cilium,
    View,
    index_by_claim,
    index_by_namespace,
    index_by_node,
    index_by_pod_policy,
    index_by_policy,
    index_by_service,
    index_foreign,
    index_lacking,
    index_port_sets,
)
from ringfence_operator.resources import observed
from ringfence_operator.resources.authority import observe_authority
from ringfence_operator.resources.cilium_network_policy import observe_cilium_policy
from ringfence_operator.resources.network_probe import observe_probe_pod
from ringfence_operator.resources.observed_pod import key_of_agent, observe_pod
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.settings import Settings

T = TypeVar("T")
_OURS = f"{labels.MANAGED_BY}={labels.MANAGER}"


def _policy(raw: dict[str, Any]) -> SecurityPolicy:
    try:
        return SecurityPolicy.from_body(raw)
    except InvalidSpecError as error:
        raise ValueError(str(error)) from error


def _quota(raw: dict[str, Any]) -> Quota:
    try:
        return Quota.from_body(raw)
    except InvalidSpecError as error:
        raise ValueError(str(error)) from error


def _pool(raw: dict[str, Any]) -> AgentPool:
    try:
        return AgentPool.from_body(raw)
    except InvalidSpecError as error:
        raise ValueError(str(error)) from error


def _connector(raw: dict[str, Any]) -> Connector:
    try:
        found = Connector.from_body(raw)
    except InvalidSpecError as error:
        raise ValueError(str(error)) from error
    if found.spec.snowflake or found.spec.rabbitmq or found.spec.plugin:
        return found
    raise ValueError("spec: none of snowflake, rabbitmq and plugin, as far as this version knows them")


class Caches:
    """All informers, wired to the queue by `changes`."""

    def __init__(self, client: Client, settings: Settings, queue: WorkQueue[Task]) -> None:
        self._client = client
        self._informers: list[Informer[Any]] = []
        self.changes = changes = Changes(queue)
        storage = "/apis/node.k8s.io/v1/runtimeclasses"
        self.view = View(
            settings=settings,
            agents=self._informer(
                "agents",
                f"{RINGFENCE}/agents",
                AgentRecord.of,
                changes.agent_changed,
                index={
                    BY_POLICY: index_by_policy,
                    BY_CLAIM: index_by_claim,
                    BY_NAMESPACE: index_by_namespace,
                    BY_CONNECTOR: index_by_connector,
                    BY_SECRET: index_by_named_secret,
                    BY_QUOTA: index_by_quota,
                    BY_LABEL: index_by_label,
                    BY_POOL: index_by_pool_ref,
                },
            ),
            policies=self._informer(
                "securitypolicies",
                f"{RINGFENCE}/securitypolicies",
                _policy,
                changes.policy_changed,
                index={BY_SERVICE: index_by_service},
            ),
            connectors=self._informer(
                "connectors",
                f"{RINGFENCE}/connectors",
                _connector,
                changes.connector_changed,
                index={BY_SERVICE: index_by_backend, BY_SECRET: index_by_own_secret},
            ),
            quotas=self._informer(
                "quotas",
                f"{RINGFENCE}/quotas",
                _quota,
                changes.quota_changed,
                index={BY_SELECTOR: index_by_selector, BY_UID: index_by_uid, BY_METERED: index_by_metered},
            ),
            pods=self._informer(
                "pods",
                f"{CORE}/pods",
                observe_pod,
                changes.pod_changed,
                selector=labels.AGENT,
                index={
                    BY_NODE: index_by_node,
                    BY_POD_POLICY: index_by_pod_policy,
                    BY_POD_QUOTA: index_by_pod_quota,
                    BY_POOL: index_by_pool,
                },
                key=key_of_agent,
                is_leaving=lambda pod: bool(pod.deleting_since),
            ),
            pools=self._informer("agentpools", f"{RINGFENCE}/agentpools", _pool, changes.pool_changed),
            warm=self._informer(
                "warmpods",
                f"{CORE}/pods",
                observe_pod,
                changes.warm_changed,
                selector=f"{labels.POOL},!{labels.AGENT}",
                index={BY_NODE: index_by_node, BY_POOL: index_by_pool, FREE: index_free},
            ),
            network_policies=self._informer(
                "networkpolicies",
                f"{NETWORKING}/networkpolicies",
                observed.observe_network_policy,
                changes.network_policy_changed,
                index={FOREIGN: index_foreign},
            ),
            # All of them: a policy may name anybody's.
            services=self._informer(
                "services",
                f"{CORE}/services",
                observed.observe_service,
                changes.service_changed,
                index={PORT_SETS: index_port_sets},
            ),
            claims=self._informer(
                "persistentvolumeclaims",
                f"{CORE}/persistentvolumeclaims",
                observed.observe_claim,
                changes.claim_changed,
                selector=_OURS,
            ),
            nodes=self._informer(
                "nodes",
                f"{CORE}/nodes",
                observed.observe_node,
                changes.node_changed,
                index={LACKING: index_lacking},
            ),
            runtime_classes=self._informer(
                "runtimeclasses", storage, observed.observe_name, changes.runtime_classes_changed
            ),
            service_cidrs=self._informer(
                "servicecidrs", f"{NETWORKING}/servicecidrs", observed.observe_service_cidr, changes.all_policies
            ),
            api_endpoints=self._informer(
                "endpointslices",
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
                observed.observe_endpoints,
                changes.all_policies,
                selector="kubernetes.io/service-name=kubernetes",
            ),
            gateway_pods=self._informer(
                "gatewaypods",
                path(CORE, settings.namespace, "pods"),
                observed.observe_gateway_pod,
                changes.gateway_pod_changed,
                selector=f"{labels.APP}={labels.GATEWAY}",
            ),
            probe_pods=self._informer(
                "probepods",
                path(CORE, settings.namespace, "pods"),
                observe_probe_pod,
                changes.probe_changed,
                selector=f"{labels.APP}={labels.NETWORK_PROBE}",
            ),
            authorities=self._informer(
                "authorities",
                f"{CORE}/configmaps",
                observe_authority,
                changes.authority_changed,
                field=f"metadata.name={labels.AUTHORITY}",
            ),
            network=NetworkKnowledge(),
            cilium=self._cilium() if settings.egress_backend == "cilium" else None,
        )
        changes.view = self.view

    def _informer(
        self,
        name: str,
        path: str,
        slim: Callable[[dict[str, Any]], T],
        on_change: Callable[[Change[T]], None],
        *,
        selector: str | None = None,
        field: str | None = None,
        index: Any = None,
        key: KeyFunction = key_of,
        is_leaving: Callable[[T], bool] = lambda _: False,
    ) -> Informer[T]:
        source = ApiSource(client=self._client, path=path, label_selector=selector, field_selector=field)
        informer = Informer(
            source, slim=slim, on_change=on_change, name=name, index=index, key=key, is_leaving=is_leaving
        )
        self._informers.append(informer)
        return informer

    def _cilium(self) -> Cilium:
        """All of them, for anybody may take our label off ours; the kind may not be there."""
        source = OptionalSource(
            ApiSource(client=self._client, path=f"{CILIUM}/{PLURAL}"), on_change=self.changes.everything
        )
        changed = self.changes.cilium_policy_changed
        informer = Informer(source, slim=observe_cilium_policy, on_change=changed, name=PLURAL)
        self._informers.append(informer)
        return Cilium(informer, lambda: source.missing)

    @property
    def informers(self) -> list[Informer[Any]]:
        """All of them, for probes."""
        return self._informers

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run(), name=f"informer-{informer.name}")

    async def synced(self) -> None:
        """Return once each cache has held everything."""
        for informer in self._informers:
            await informer.synced.wait()
