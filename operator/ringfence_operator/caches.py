"""The caches of everything the operator watches, and what each change in them makes it look at again."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ringfence_operator import labels
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.informer import Change, Informer
from ringfence_operator.kube.source import ApiSource, OptionalSource
from ringfence_operator.reconcile.cilium import PLURAL
from ringfence_operator.reconcile.network_verdict import NetworkKnowledge
from ringfence_operator.reconcile.ports import CILIUM, CORE, NETWORKING, RINGFENCE, Task, path
from ringfence_operator.reconcile.security_policy import COUNT_SECONDS
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
from ringfence_operator.resources.cilium_network_policy import CiliumPolicy, observe_cilium_policy
from ringfence_operator.resources.network_policy import policy_name
from ringfence_operator.resources.network_probe import TARGET, ProbePod, observe_probe_pod
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.settings import Settings

T = TypeVar("T")
NOW, SOON, LATER = 0, 1, 2
"""Priorities: what somebody waits for, what follows from another object's change, bookkeeping."""

_OURS = f"{labels.MANAGED_BY}={labels.MANAGER}"


def _policy(raw: dict[str, Any]) -> SecurityPolicy:
    try:
        return SecurityPolicy.from_body(raw)
    except InvalidSpecError as error:
        raise ValueError(str(error)) from error


class Caches:
    """All informers, wired to the queue."""

    def __init__(self, client: Client, settings: Settings, queue: WorkQueue[Task]) -> None:
        self._client = client
        self._queue = queue
        self._informers: list[Informer[Any]] = []
        storage = "/apis/node.k8s.io/v1/runtimeclasses"
        self.view = View(
            settings=settings,
            agents=self._informer(
                "agents",
                f"{RINGFENCE}/agents",
                AgentRecord.of,
                self._agent_changed,
                index={BY_POLICY: index_by_policy, BY_CLAIM: index_by_claim, BY_NAMESPACE: index_by_namespace},
            ),
            policies=self._informer(
                "securitypolicies",
                f"{RINGFENCE}/securitypolicies",
                _policy,
                self._policy_changed,
                index={BY_SERVICE: index_by_service},
            ),
            pods=self._informer(
                "pods",
                f"{CORE}/pods",
                observed.observe_pod,
                self._child_changed,
                selector=labels.AGENT,
                index={BY_NODE: index_by_node, BY_POD_POLICY: index_by_pod_policy},
            ),
            network_policies=self._informer(
                "networkpolicies",
                f"{NETWORKING}/networkpolicies",
                observed.observe_network_policy,
                self._network_policy_changed,
                index={FOREIGN: index_foreign},
            ),
            # All of them: a policy may name anybody's.
            services=self._informer(
                "services",
                f"{CORE}/services",
                observed.observe_service,
                self._service_changed,
                index={PORT_SETS: index_port_sets},
            ),
            claims=self._informer(
                "persistentvolumeclaims",
                f"{CORE}/persistentvolumeclaims",
                observed.observe_claim,
                self._claim_changed,
                selector=_OURS,
            ),
            nodes=self._informer(
                "nodes",
                f"{CORE}/nodes",
                observed.observe_node,
                self._node_changed,
                index={LACKING: index_lacking},
            ),
            runtime_classes=self._informer("runtimeclasses", storage, observed.observe_name, self._all_agents),
            service_cidrs=self._informer(
                "servicecidrs", f"{NETWORKING}/servicecidrs", observed.observe_service_cidr, self._all_policies
            ),
            api_endpoints=self._informer(
                "endpointslices",
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
                observed.observe_endpoints,
                self._all_policies,
                selector="kubernetes.io/service-name=kubernetes",
            ),
            gateway_pods=self._informer(
                "gatewaypods",
                path(CORE, settings.namespace, "pods"),
                observed.observe_gateway_pod,
                self._gateway_pod_changed,
                selector=f"{labels.APP}={labels.GATEWAY}",
            ),
            probe_pods=self._informer(
                "probepods",
                path(CORE, settings.namespace, "pods"),
                observe_probe_pod,
                self._probe_changed,
                selector=f"{labels.APP}={labels.NETWORK_PROBE}",
            ),
            network=NetworkKnowledge(),
            cilium=self._cilium() if settings.egress_backend == "cilium" else None,
        )

    def _informer(
        self,
        name: str,
        path: str,
        slim: Callable[[dict[str, Any]], T],
        on_change: Callable[[Change[T]], None],
        *,
        selector: str | None = None,
        index: Any = None,
    ) -> Informer[T]:
        source = ApiSource(client=self._client, path=path, label_selector=selector)
        informer = Informer(source, slim=slim, on_change=on_change, name=name, index=index)
        self._informers.append(informer)
        return informer

    def _cilium(self) -> Cilium:
        """All of them, for anybody may take our label off ours; the kind may not be there."""
        source = OptionalSource(ApiSource(client=self._client, path=f"{CILIUM}/{PLURAL}"), on_change=self._everything)
        changed = self._cilium_policy_changed
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

    def mark_all(self) -> None:
        """Have every object looked at: a new leader does not know what its predecessor left undone."""
        for namespace, name in self.view.policies.cache:
            self._queue.add(Task("SecurityPolicy", namespace, name), NOW)
        self._mark_gateway(NOW)
        self._mark_probe()
        for service in self.view.port_sets():
            self._queue.add(Task("PortSet", service.meta.namespace, service.meta.name), NOW)
        # Of a SecurityPolicy that is gone there may be some left.
        ours = {key for key, policy in self.view.network_policies.cache.items() if policy.is_ours}
        if self.view.cilium:
            ours |= {key for key, policy in self.view.cilium.policies.cache.items() if policy.is_ours}
        for key in sorted(ours):
            self._queue.add(Task("NetworkPolicy", *key), NOW)
        for namespace, name in self.view.agents.cache:
            self._queue.add(Task("Agent", namespace, name), SOON)

    def _agent_changed(self, change: Change[AgentRecord]) -> None:
        self._queue.add(Task("Agent", *change.key), NOW)
        old, new = change.old, change.new
        if old and new and old.generation == new.generation:
            return
        for agent in (old, new):
            if agent is not None:
                self._count_later(agent)
                for key in self.view.agents.keys_by(BY_CLAIM, (agent.namespace, agent.claim)):
                    self._queue.add(Task("Agent", *key), SOON)

    def _count_later(self, agent: AgentRecord) -> None:
        """Have the policy's count of agents brought up to date, and not for each agent of a burst."""
        default = self.view.cluster_policy()
        key = (agent.namespace, agent.policy) if agent.policy else (default.key if default else None)
        if key is not None:
            self._queue.add_after(Task("SecurityPolicy", *key), COUNT_SECONDS, LATER)

    def _policy_changed(self, change: Change[SecurityPolicy]) -> None:
        self._queue.add(Task("SecurityPolicy", *change.key), NOW)
        old, new = change.old, change.new
        if new is None:
            of_policy = (self.view.settings.namespace, "/".join(change.key))
            for key in self.view.services.keys_by(PORT_SETS, of_policy):
                self._queue.add(Task("PortSet", *key), NOW)
        if old is None or new is None or old.metadata.generation != new.metadata.generation:
            for key in self.view.agents.keys_by(BY_POLICY, tuple(change.key)):
                self._queue.add(Task("Agent", *key), SOON)
            if "/".join(change.key) == self.view.settings.default_policy:
                self._all_agents(None)

    def _child_changed(self, change: Change[Any]) -> None:
        """A pod or a Service has its agent's name."""
        self._queue.add(Task("Agent", *change.key), NOW)

    def _service_changed(self, change: Change[observed.Service]) -> None:
        """An agent's Service has its agent's name; others belong to a policy, or are named by some."""
        sides = [each for each in (change.old, change.new) if each is not None]
        if self.view.agents.get(*change.key) or any(each.owner_uid for each in sides):
            self._queue.add(Task("Agent", *change.key), NOW)
        for side in sides:
            if side.policy and change.key.namespace == self.view.settings.namespace:
                self._queue.add(Task("PortSet", *change.key), NOW)
                self.policy_stands_otherwise(side.policy)
        for key in self.view.policies.keys_by(BY_SERVICE, tuple(change.key)):
            self._queue.add(Task("SecurityPolicy", *key), SOON)
        if self.view.has_cilium and "/".join(change.key) == self.view.settings.dns_service:
            self._everything()

    def policy_stands_otherwise(self, policy: str) -> None:
        """Have the policy (namespace, a slash, name) and its agents looked at: the gateway said something of it."""
        namespace, _, name = policy.partition("/")
        self._queue.add(Task("SecurityPolicy", namespace, name), NOW)
        for key in self.view.agents.keys_by(BY_POLICY, (namespace, name)):
            self._queue.add(Task("Agent", *key), SOON)
        if policy == self.view.settings.default_policy:
            self._all_agents(None)

    def _claim_changed(self, change: Change[observed.Claim]) -> None:
        for key in self.view.agents.keys_by(BY_CLAIM, tuple(change.key)):
            self._queue.add(Task("Agent", *key), NOW)

    def _network_policy_changed(self, change: Change[observed.NetworkPolicy]) -> None:
        namespace = change.key.namespace
        if tuple(change.key) == (self.view.settings.namespace, labels.NETWORK_PROBE):
            self._mark_probe()
        sides = [each for each in (change.old, change.new) if each is not None]
        if change.key.name == labels.DEFAULT_DENY or not all(each.is_ours for each in sides):
            for key in self.view.agents.keys_by(BY_NAMESPACE, namespace):
                self._queue.add(Task("Agent", *key), SOON)
        # One of ours stays ours, although somebody took our label off it.
        if any(each.is_ours for each in sides):
            self._queue.add(Task("NetworkPolicy", *change.key), NOW)

    def _cilium_policy_changed(self, change: Change[CiliumPolicy]) -> None:
        """It has the name of the NetworkPolicy that it stands beside."""
        sides = [each for each in (change.old, change.new) if each is not None]
        if not any(each.is_ours for each in sides):
            return
        self._queue.add(Task("NetworkPolicy", *change.key), NOW)
        if change.old is None or change.new is None or change.old.refusal != change.new.refusal:
            own, default = policy_name("", is_cluster=False), self.view.settings.default_policy
            if change.key.name.startswith(own):
                self.policy_stands_otherwise(f"{change.key.namespace}/{change.key.name.removeprefix(own)}")
            elif default:
                self.policy_stands_otherwise(default)

    def _everything(self) -> None:
        self._all_policies(None)
        self._all_agents(None)

    def _node_changed(self, change: Change[observed.Node]) -> None:
        old, new = change.old, change.new
        if new is None:
            for namespace, name in self.view.pods.keys_by(BY_NODE, change.key.name):
                self._queue.add(Task("Agent", namespace, name), NOW)
        if old is None or new is None or (old.addresses, old.pod_cidrs) != (new.addresses, new.pod_cidrs):
            self._all_policies(None)

    def _gateway_pod_changed(self, _: Change[observed.GatewayPod]) -> None:
        self._all_policies(None)
        self._all_agents(None)

    def _probe_changed(self, _: Change[ProbePod]) -> None:
        view, namespace = self.view, self.view.settings.namespace
        before = view.network.verdict
        prober = view.probe_pods.get(namespace, labels.NETWORK_PROBE)
        view.network.learn(prober, view.probe_pods.get(namespace, TARGET))
        self._mark_probe()
        if view.network.verdict != before:
            self._all_agents(None, SOON)

    def _mark_probe(self) -> None:
        if self.view.settings.probe_image:
            self._queue.add(Task("NetworkProbe", self.view.settings.namespace, labels.NETWORK_PROBE), NOW)

    def _all_agents(self, _: object, priority: int = LATER) -> None:
        for key in self.view.agents.cache:
            self._queue.add(Task("Agent", *key), priority)

    def _mark_gateway(self, priority: int) -> None:
        if self.view.has_gateway:
            self._queue.add(Task("Gateway", self.view.settings.namespace, labels.GATEWAY), priority)

    def _all_policies(self, _: object) -> None:
        self._mark_gateway(LATER)
        for key in self.view.policies.cache:
            self._queue.add(Task("SecurityPolicy", *key), LATER)
