"""What a change in one of the caches makes the operator look at again."""

from collections.abc import Callable, Iterable
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.kube.informer import Change, Key
from ringfence_operator.pool_changes import PoolChanges
from ringfence_operator.priorities import LATER, NOW, SOON
from ringfence_operator.reconcile.clock import utc_now
from ringfence_operator.reconcile.connector_index import BY_CONNECTOR, BY_SECRET
from ringfence_operator.reconcile.meters import limits_network
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.reconcile.quota_admission import agent_gone, counted_otherwise
from ringfence_operator.reconcile.quotas import concerned, has_sidecar, quotas_of_record, shared_otherwise
from ringfence_operator.reconcile.security_policy import COUNT_SECONDS
from ringfence_operator.reconcile.view import (
    BY_CLAIM,
    BY_NAMESPACE,
    BY_NODE,
    BY_POLICY,
    BY_SERVICE,
    PORT_SETS,
    View,
)
from ringfence_operator.resources import observed
from ringfence_operator.resources.cilium_network_policy import CiliumPolicy
from ringfence_operator.resources.network_policy import policy_name
from ringfence_operator.resources.network_probe import TARGET, ProbePod
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.port_set import connector_of
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.runtime.queue import WorkQueue

HEALTH_SECONDS = 1.0
"""What sidecars report is taken together for so long."""


class Changes:
    """Adds to the queue what a change concerns. `view` is given once the caches are there that it looks into."""

    view: View

    def __init__(self, queue: WorkQueue[Task]) -> None:
        self.pod_gone: Callable[[str], None] = lambda _: None
        """Hears the UID of each pod that is gone."""
        self._queue = queue
        self.pools = PoolChanges(queue, lambda: self.view)

    def pool_changed(self, change: Change[AgentPool]) -> None:
        """A pool of warm pods."""
        self.pools.pool_changed(change)

    def warm_changed(self, change: Change[Pod]) -> None:
        """A pod that no agent has."""
        self.pools.warm_changed(change)

    def mark_all(self) -> None:
        """Have every object looked at: a new leader does not know what its predecessor left undone."""
        for namespace, name in self.view.policies.cache:
            self._queue.add(Task("SecurityPolicy", namespace, name), NOW)
        for key in self.view.connectors.cache:
            self._queue.add(Task("Connector", *key), NOW)
        for key in self.view.quotas.cache:
            self._queue.add(Task("Quota", *key), SOON)
        self._mark_gateway(NOW)
        self._mark_probe()
        for service in self.view.port_sets():
            self._queue.add(Task("PortSet", service.meta.namespace, service.meta.name), NOW)
            if service.connector:
                self._queue.add(Task("Connector", *service.connector.split("/", 1)), NOW)
        # Of a SecurityPolicy that is gone there may be some left.
        ours = {key for key, policy in self.view.network_policies.cache.items() if policy.is_ours}
        if self.view.cilium:
            ours |= {key for key, policy in self.view.cilium.policies.cache.items() if policy.is_ours}
        for key in sorted(ours):
            self._queue.add(Task("NetworkPolicy", *key), NOW)
        self._mark_left_open()
        for namespace, name in self.view.agents.cache:
            self._queue.add(Task("Agent", namespace, name), SOON)
        self.pools.all_pools(SOON)

    def agent_changed(self, change: Change[AgentRecord]) -> None:
        """An agent; those that share its claim wait for each other."""
        self._queue.add(Task("Agent", *change.key), NOW)
        self.pools.agent_changed(change)
        old, new = change.old, change.new
        if new is None:
            agent_gone(change.key, old.uid if old else "", self.view)
        if old and new and (old.generation, old.labels) == (new.generation, new.labels):
            return
        if self.view.pods.get(*change.key):
            self.view.places.unsettle(change.key.namespace)
        for agent in (old, new):
            if agent is not None:
                self._count_later(agent)
                for key in self.view.agents.keys_by(BY_CLAIM, (agent.namespace, agent.claim)):
                    self._queue.add(Task("Agent", *key), SOON)

    def _count_later(self, agent: AgentRecord) -> None:
        """Have the counts of agents brought up to date, and not for each agent of a burst."""
        for name in agent.connectors:
            self._queue.add_after(Task("Connector", agent.namespace, name), COUNT_SECONDS, LATER)
        for quota in quotas_of_record(agent, self.view):
            self._queue.add_after(Task("Quota", *quota.key), COUNT_SECONDS, LATER)
        default = self.view.cluster_policy()
        key = (agent.namespace, agent.policy) if agent.policy else (default.key if default else None)
        if key is not None:
            self._queue.add_after(Task("SecurityPolicy", *key), COUNT_SECONDS, LATER)

    def policy_changed(self, change: Change[SecurityPolicy]) -> None:
        """A policy, its port set, and the agents under it."""
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
                self.all_agents(None)
                self.pools.all_pools(SOON)
            self.pools.all_pools(SOON, change.key.namespace)
            self.pools.policy_changed(*change.key)

    def connector_changed(self, change: Change[Connector]) -> None:
        """A connector, the agents that name it, and those that name its Secret."""
        self._queue.add(Task("Connector", *change.key), NOW)
        old, new = change.old, change.new
        if old and new and old.metadata.generation == new.metadata.generation:
            return
        for key in self.view.agents.keys_by(BY_CONNECTOR, tuple(change.key)):
            self._queue.add(Task("Agent", *key), NOW)
        self.pools.secrets_changed(change.key.namespace)
        for secret in {each.secret for each in (old, new) if each is not None}:
            for key in self.view.agents.keys_by(BY_SECRET, (change.key.namespace, secret)):
                self._queue.add(Task("Agent", *key), NOW)

    def quota_changed(self, change: Change[Quota]) -> None:
        """A quota, and the agents that it holds for, before and after."""
        self._queue.add(Task("Quota", *change.key), NOW)
        if _limits_network(change.old) != _limits_network(change.new):
            # Connections under its policies are to be counted from now on, or no more.
            self.all_policies(None)
            self.all_agents(None, SOON)
        for key in concerned(change.old, change.new, self.view):
            self._queue.add(Task("Agent", *key), NOW)

    def quota_stands_otherwise(self, quota: tuple[str, str]) -> None:
        """Have the quota (namespace and name) looked at soon: somebody has used something of it."""
        self._queue.add_after(Task("Quota", *quota), HEALTH_SECONDS, LATER)

    def agent_spends_otherwise(self, agent: tuple[str, str]) -> None:
        """Have the agent (namespace and name) looked at: it has used something up, or there is more of it."""
        self._queue.add(Task("Agent", *agent), SOON)

    def agents_later(self, keys: Iterable[tuple[str, str]]) -> None:
        """Have these agents looked at when nobody waits for anything."""
        for key in keys:
            self._queue.add(Task("Agent", *key), LATER)

    def connector_stands_otherwise(self, connector: tuple[str, str]) -> None:
        """Have the connector (namespace and name) looked at soon: sidecars report something else of it."""
        self._queue.add_after(Task("Connector", *connector), HEALTH_SECONDS, LATER)

    def agent_stands_otherwise(self, agent: tuple[str, str]) -> None:
        """Have the agent (namespace and name) looked at: its sidecar finds the pod's network to be another."""
        self._queue.add(Task("Agent", *agent), NOW)

    def authority_changed(self, change: Change[Any]) -> None:
        """Somebody changed or deleted a namespace's copy of the control server's authority."""
        self.pools.all_pools(SOON, change.key.namespace)
        for key in self.view.agents.keys_by(BY_NAMESPACE, change.key.namespace):
            if has_sidecar(self.view.agents.cache[key], self.view):
                self._queue.add(Task("Agent", *key), SOON)

    def pod_changed(self, change: Change[Pod]) -> None:
        """A pod has its agent's name; what is gone is served nothing any more."""
        old, new = change.old, change.new
        if old is not None and (new is None or new.meta.uid != old.meta.uid):
            self.pod_gone(old.meta.uid)
        self.child_changed(change)
        self.pools.pod_changed(change)
        for quota in counted_otherwise(old, new, self.view, now=utc_now()) | shared_otherwise(old, new, self.view):
            self.quota_stands_otherwise(quota)

    def child_changed(self, change: Change[Any]) -> None:
        """A pod or a Service has its agent's name."""
        self._queue.add(Task("Agent", *change.key), NOW)

    def service_changed(self, change: Change[observed.Service]) -> None:
        """An agent's Service has its agent's name; others belong to a policy, or are named by some."""
        sides = [each for each in (change.old, change.new) if each is not None]
        if self.view.agents.get(*change.key) or any(each.owner_uid for each in sides):
            self._queue.add(Task("Agent", *change.key), NOW)
        for side in sides:
            if side.policy and change.key.namespace == self.view.settings.namespace:
                self._queue.add(Task("PortSet", *change.key), NOW)
                self.policy_stands_otherwise(side.policy)
            if side.connector and change.key.namespace == self.view.settings.namespace:
                self._way_changed(*side.connector.split("/", 1))
        for key in self.view.policies.keys_by(BY_SERVICE, tuple(change.key)):
            self._queue.add(Task("SecurityPolicy", *key), SOON)
        self._backend_changed(change.key)
        if self.view.has_cilium and "/".join(change.key) == self.view.settings.dns_service:
            self.everything()

    def _way_changed(self, namespace: str, name: str) -> None:
        """The connector, and its agents, whose sidecars are told its address."""
        self._queue.add(Task("Connector", namespace, name), NOW)
        for key in self.view.agents.keys_by(BY_CONNECTOR, (namespace, name)):
            self._queue.add(Task("Agent", *key), SOON)

    def _backend_changed(self, key: Key) -> None:
        """The connectors behind a Service, and their agents, whose sidecars are told its address."""
        for each in self.view.connectors.keys_by(BY_SERVICE, tuple(key)):
            self._queue.add(Task("Connector", *each), SOON)
            for agent in self.view.agents.keys_by(BY_CONNECTOR, tuple(each)):
                self._queue.add(Task("Agent", *agent), SOON)
        settings = self.view.settings
        sinks = (settings.collector_service, settings.audit_stream_service)
        if "/".join(key) in (settings.redis_service, *sinks, f"{settings.namespace}/{labels.CONTROL}"):
            self.all_with_sidecars()

    def all_with_sidecars(self) -> None:
        """Have every connector looked at, every agent with a sidecar, and every pool, whose pods have starters."""
        for key in self.view.connectors.cache:
            self._queue.add(Task("Connector", *key), SOON)
        for key, agent in self.view.agents.cache.items():
            if has_sidecar(agent, self.view):
                self._queue.add(Task("Agent", *key), SOON)
        self.pools.all_pools(SOON)

    def holder_stands_otherwise(self, holder: str) -> None:
        """Have whose port set it is looked at: the gateway said something of it."""
        connector = connector_of(holder)
        if connector is None:
            self.policy_stands_otherwise(holder)
        else:
            self._queue.add(Task("Connector", *connector), NOW)

    def policy_stands_otherwise(self, policy: str) -> None:
        """Have the policy (namespace, a slash, name) and its agents looked at: the gateway said something of it."""
        namespace, _, name = policy.partition("/")
        self._queue.add(Task("SecurityPolicy", namespace, name), NOW)
        for key in self.view.agents.keys_by(BY_POLICY, (namespace, name)):
            self._queue.add(Task("Agent", *key), SOON)
        if policy == self.view.settings.default_policy:
            self.all_agents(None)

    def claim_changed(self, change: Change[observed.Claim]) -> None:
        """A workspace belongs to the agents that name it."""
        for key in self.view.agents.keys_by(BY_CLAIM, tuple(change.key)):
            self._queue.add(Task("Agent", *key), NOW)

    def network_policy_changed(self, change: Change[observed.NetworkPolicy]) -> None:
        """One of ours is put right; a foreign one may loosen what confines the namespace's agents."""
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

    def cilium_policy_changed(self, change: Change[CiliumPolicy]) -> None:
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

    def everything(self) -> None:
        """Have all policies and agents looked at."""
        self.all_policies(None)
        self.all_agents(None)

    def node_changed(self, change: Change[observed.Node]) -> None:
        """Pods go with their node; its addresses are reserved in every policy."""
        old, new = change.old, change.new
        if new is None:
            for namespace, name in self.view.pods.keys_by(BY_NODE, change.key.name):
                self._queue.add(Task("Agent", namespace, name), NOW)
            self.pools.node_gone(change.key.name)
        if old is None or new is None or (old.addresses, old.pod_cidrs) != (new.addresses, new.pod_cidrs):
            self.all_policies(None)

    def gateway_pod_changed(self, _: Change[observed.GatewayPod]) -> None:
        """What is in force depends on which replicas there are."""
        self.all_policies(None)
        self.all_agents(None)

    def probe_changed(self, _: Change[ProbePod]) -> None:
        """Another verdict concerns every agent."""
        view, namespace = self.view, self.view.settings.namespace
        before = view.network.verdict
        prober = view.probe_pods.get(namespace, labels.NETWORK_PROBE)
        view.network.learn(prober, view.probe_pods.get(namespace, TARGET))
        self._mark_probe()
        if view.network.verdict != before:
            self.all_agents(None, SOON)

    def _mark_probe(self) -> None:
        if self.view.settings.probe_image:
            self._queue.add(Task("NetworkProbe", self.view.settings.namespace, labels.NETWORK_PROBE), NOW)

    def all_agents(self, _: object, priority: int = LATER) -> None:
        """Have every agent looked at."""
        for key in self.view.agents.cache:
            self._queue.add(Task("Agent", *key), priority)

    def runtime_classes_changed(self, _: object) -> None:
        """Have every agent looked at, and every pool: what Secure runs in may be another one."""
        self.all_agents(None)
        self.pools.all_pools(SOON)

    def _mark_left_open(self) -> None:
        """Have the blocks closed that agents are admitted to although their Service is gone."""
        namespace, prefix = self.view.settings.namespace, f"{labels.GATEWAY}-"
        for key, policy in self.view.network_policies.cache.items():
            block = key[1].removeprefix(prefix)
            if (
                policy.is_ours
                and key == (namespace, f"{prefix}{block}")
                and not self.view.services.get(namespace, block)
            ):
                self._queue.add(Task("PortSet", namespace, block), NOW)

    def _mark_gateway(self, priority: int) -> None:
        if self.view.feeds_control:
            self._queue.add(Task("Gateway", self.view.settings.namespace, labels.GATEWAY), priority)

    def all_policies(self, _: object) -> None:
        """Have every policy looked at, and the gateway that serves them."""
        self._mark_gateway(LATER)
        for key in self.view.policies.cache:
            self._queue.add(Task("SecurityPolicy", *key), LATER)


def _limits_network(quota: Quota | None) -> bool:
    return quota is not None and limits_network(quota)
