"""Everything the operator knows, in memory; nothing on the way of a reconcile asks the API server."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.reconcile.control_knowledge import ControlKnowledge
from ringfence_operator.reconcile.limit_lags import LimitLags
from ringfence_operator.reconcile.memory_use import MemoryUse
from ringfence_operator.reconcile.network_verdict import NetworkKnowledge
from ringfence_operator.reconcile.node_kills import NodeKills
from ringfence_operator.reconcile.pod_index import BY_POD_QUOTA
from ringfence_operator.reconcile.pooling import Pooling
from ringfence_operator.reconcile.ports import Table
from ringfence_operator.reconcile.quota_knowledge import QuotaKnowledge
from ringfence_operator.reconcile.quota_places import Places
from ringfence_operator.reconcile.shared_run_time import SharedRunTimes
from ringfence_operator.resources.authority import Authority
from ringfence_operator.resources.cilium_network_policy import CiliumPolicy
from ringfence_operator.resources.effective import Surroundings
from ringfence_operator.resources.network_probe import ProbePod
from ringfence_operator.resources.observed import Claim, GatewayPod, Named, NetworkPolicy, Node, Service
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.resources.reserved import host_cidr, reserved_cidrs
from ringfence_operator.resources.share import RefusedShare
from ringfence_operator.resources.volumes import claim_name
from ringfence_operator.settings import Settings

BY_POLICY = "policy"
BY_CLAIM = "claim"
FOREIGN = "foreign"
BY_NODE = "node"
BY_NAMESPACE = "namespace"
LACKING = "lacking"
PORT_SETS = "portSets"
BY_POD_POLICY = "podPolicy"
BY_SERVICE = "service"
_EVERY = ""


def index_by_policy(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the SecurityPolicy that an agent names, the empty name where it names none."""
    yield agent.namespace, agent.policy


def index_by_claim(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the claim that an agent's workspace is on."""
    if agent.claim:
        yield agent.namespace, agent.claim


def index_by_namespace(agent: AgentRecord) -> Iterable[str]:
    """Yield the namespace of an agent."""
    yield agent.namespace


def index_lacking(node: Node) -> Iterable[str]:
    """Yield what a node lacks."""
    if not node.has_user_namespaces:
        yield "userNamespaces"


def index_by_node(pod: Pod) -> Iterable[str]:
    """Yield the node that a pod is bound to."""
    if pod.node:
        yield pod.node


def block_of(service: Service) -> int:
    """Return the block that a port set's Service is the lock of."""
    return int(service.meta.name.removeprefix("p-"))


def index_by_pod_policy(pod: Pod) -> Iterable[tuple[str, str]]:
    """Yield the label and the SecurityPolicy under which a pod reaches the network."""
    if policy := pod.labels.get(labels.POLICY):
        yield labels.POLICY, f"{pod.meta.namespace}/{policy}"
    if policy := pod.labels.get(labels.CLUSTER_POLICY):
        yield labels.CLUSTER_POLICY, policy


def index_port_sets(service: Service) -> Iterable[tuple[str, str]]:
    """Yield whose port set a Service is, and a key for all; by namespace: anybody may label theirs so."""
    if service.holder:
        yield service.meta.namespace, service.holder
        yield service.meta.namespace, _EVERY


def index_by_service(policy: SecurityPolicy) -> Iterable[tuple[str, str]]:
    """Yield the Services that a policy names."""
    for each in policy.spec.network.destinations:
        if each.service:
            yield each.service.namespace or policy.metadata.namespace, each.service.name


def index_foreign(policy: NetworkPolicy) -> Iterable[str]:
    """Yield the namespace of a NetworkPolicy that is not ours and opens egress."""
    if not policy.is_ours and policy.has_egress:
        yield policy.meta.namespace


def _is_waiting(agent: Agent) -> bool:
    return not agent.spec.suspend and agent.status.finished_at is None and agent.metadata.deletion_timestamp is None


def _precedes(one: Agent, other: Agent) -> bool:
    born, since = one.metadata.creation_timestamp, other.metadata.creation_timestamp
    if born is None or since is None or born == since:
        return one.metadata.uid < other.metadata.uid
    return born < since


@dataclass(frozen=True, slots=True)
class Cilium:
    """The CiliumNetworkPolicies, and why there can be none, or nothing."""

    policies: Table[CiliumPolicy]
    missing: Callable[[], str]


@dataclass(frozen=True, slots=True)
class View:
    """The caches, and the questions that reconcilers ask of more than one object."""

    settings: Settings
    agents: Table[AgentRecord]
    policies: Table[SecurityPolicy]
    connectors: Table[Connector]
    quotas: Table[Quota]
    pods: Table[Pod]
    """The agents' pods, each by its agent."""
    pools: Table[AgentPool]
    warm: Table[Pod]
    """The pools' pods that no agent has, each by its own name."""
    network_policies: Table[NetworkPolicy]
    services: Table[Service]
    claims: Table[Claim]
    nodes: Table[Node]
    runtime_classes: Table[Named]
    service_cidrs: Table[Named]
    api_endpoints: Table[Named]
    gateway_pods: Table[GatewayPod]
    probe_pods: Table[ProbePod]
    authorities: Table[Authority]
    network: NetworkKnowledge
    cilium: Cilium | None = None
    """None unless Cilium judges names."""
    control: ControlKnowledge = field(default_factory=ControlKnowledge)
    places: Places = field(default_factory=Places)
    pooling: Pooling = field(default_factory=Pooling)
    run_times: SharedRunTimes = field(default_factory=SharedRunTimes)
    memory: MemoryUse = field(default_factory=MemoryUse)
    node_kills: NodeKills = field(default_factory=NodeKills)
    refused_shares: dict[tuple[str, str], RefusedShare] = field(default_factory=dict)
    """By agent, what its running pod could not be given of its node."""
    lags: LimitLags = field(default_factory=LimitLags)

    def __post_init__(self) -> None:
        """Let what counts pods' time see them."""
        self.run_times.pods = self.quota_pods

    def quota_pods(self, quota: Quota) -> list[Pod]:
        """Return the pods that count for a quota while they run, those that have ended besides."""
        keys = [*self.pods.keys_by(BY_POD_QUOTA, (*quota.key, True))]
        keys += self.pods.keys_by(BY_POD_QUOTA, (*quota.key, False))
        return [self.pods.cache[key] for key in keys]

    quota_knowledge: QuotaKnowledge = field(default_factory=QuotaKnowledge)

    def agent(self, namespace: str, name: str) -> Agent | None:
        """Return one agent, or None. Raises InvalidSpecError where it does not fit the models."""
        record = self.agents.get(namespace, name)
        return record.parse() if record else None

    def policy_of(self, agent: Agent) -> tuple[SecurityPolicy | None, str | None]:
        """Return the policy that holds for `agent`, and the name of the one that is missing if it is."""
        ref = agent.spec.security_policy_ref
        if ref is not None:
            found = self.policies.get(agent.metadata.namespace, ref.name)
            return found, None if found else ref.name
        found = self.cluster_policy()
        return found, None if found else self.settings.default_policy

    def cluster_policy(self) -> SecurityPolicy | None:
        """Return the policy that holds for agents that name none, if there is one."""
        default = self.settings.default_policy
        return self.policies.get(*default.split("/", 1)) if default else None

    def is_cluster_policy(self, policy: SecurityPolicy) -> bool:
        """Return True if `policy` is the one that holds for agents that name none."""
        return "/".join(policy.key) == self.settings.default_policy

    @property
    def has_gateway(self) -> bool:
        """True if policies have port sets on an egress gateway."""
        return self.settings.egress_backend == "envoy"

    @property
    def feeds_control(self) -> bool:
        """True if the control process has something to serve: port sets, sidecars, or starters."""
        return self.has_gateway or bool(self.settings.sidecar_image or self.settings.starter_image)

    @property
    def has_cilium(self) -> bool:
        """True if Cilium judges names."""
        return self.cilium is not None

    @property
    def dns(self) -> Service | None:
        """Return the Service of the cluster's DNS, if it is where the settings say."""
        service = self.services.get(*self.settings.dns_service.split("/", 1))
        return service if service and service.address and service.selector else None

    def name_server(self, policy: SecurityPolicy) -> str | None:
        """Return the address that agents under `policy` ask for names: its port set's, or the cluster's DNS."""
        if self.has_cilium:
            return self.dns.address if self.dns else None
        port_set = self.port_set(policy) if self.has_gateway else None
        return port_set.address or None if port_set else None

    def port_set(self, policy: SecurityPolicy) -> Service | None:
        """Return the Service of the policy's port set."""
        return self.port_set_of("/".join(policy.key))

    def port_set_of(self, holder: str) -> Service | None:
        """Return the Service of the holder's port set; of several, as two leaders could have made, the first."""
        keys = sorted(self.services.keys_by(PORT_SETS, (self.settings.namespace, holder)))
        return self.services.get(*keys[0]) if keys else None

    def port_sets(self) -> list[Service]:
        """Return the Services of all port sets."""
        return [self.services.cache[key] for key in self.services.keys_by(PORT_SETS, (self.settings.namespace, _EVERY))]

    def serving_replicas(self) -> list[str]:
        """Return the names of the gateway's pods that may have anything open, ready or not."""
        return sorted(pod.meta.name for pod in self.gateway_pods.cache.values() if pod.is_running)

    def gateway_replicas(self) -> list[str]:
        """Return the names of the gateway's pods that agents' connections may come to."""
        return sorted(pod.meta.name for pod in self.gateway_pods.cache.values() if pod.is_ready)

    def named_services(self, policy: SecurityPolicy) -> dict[tuple[str, str], Service]:
        """Return the Services that the policy names and that can be reached; the operator's namespace never can."""
        found = {}
        for key in index_by_service(policy):
            service = self.services.get(*key)
            if service and service.address and service.selector and key[0] != self.settings.namespace:
                found[key] = service
        return found

    def service_addresses(self, policy: SecurityPolicy) -> dict[str, str]:
        """Return the in-cluster names that the policy's DNS answers, `name.namespace`, with their addresses."""
        services = self.named_services(policy).items() if policy.spec.network.enabled else ()
        return {f"{name}.{namespace}": service.address for (namespace, name), service in sorted(services)}

    def other_users(self, agent: Agent) -> Collection[tuple[str, str]]:
        """Return the other agents whose workspace is on the same claim."""
        claim = claim_name(agent)
        if claim is None:
            return ()
        return [key for key in self.agents.keys_by(BY_CLAIM, (agent.metadata.namespace, claim)) if key != agent.key]

    def rivals(self, agent: Agent) -> Iterable[str]:
        """Yield the agents that `agent`'s claim is to be left to: whoever has a pod on it, else the oldest."""
        for namespace, name in self.other_users(agent):
            other, pod = self.readable(namespace, name), self.pods.get(namespace, name)
            has_pod = pod is not None and pod.phase not in ("Succeeded", "Failed")
            if has_pod or (other is not None and _is_waiting(other) and _precedes(other, agent)):
                yield name

    def readable(self, namespace: str, name: str) -> Agent | None:
        """Return one agent, or None where there is none that fits the models."""
        try:
            return self.agent(namespace, name)
        except InvalidSpecError:
            return None  # it has a pass of its own, which says so

    def surroundings(self, agent: Agent) -> Surroundings:
        """Return what the cluster can do for `agent`: user namespaces only if each node it may run on has them."""
        wanted = agent.spec.node_selector.items()
        lacking = (self.nodes.cache[key] for key in self.nodes.keys_by(LACKING, "userNamespaces"))
        return Surroundings(
            runtime_classes=frozenset(name for _, name in self.runtime_classes.cache),
            has_user_namespaces=bool(self.nodes.cache) and not any(wanted <= node.labels.items() for node in lacking),
        )

    def reserved(self) -> list[str]:
        """Return the CIDRs that no SecurityPolicy may open."""
        others = [*self.settings.reserved_cidrs]
        others += [cidr for each in self.service_cidrs.cache.values() for cidr in each.values]
        others += [host_cidr(address) for each in self.api_endpoints.cache.values() for address in each.values]
        return reserved_cidrs(self.nodes.cache.values(), pods=self.settings.pod_cidrs, others=others)

    def foreign_policies(self, namespace: str) -> list[NetworkPolicy]:
        """Return the NetworkPolicies of `namespace` that are not ours and open egress."""
        keys = self.network_policies.keys_by(FOREIGN, namespace)
        return [self.network_policies.cache[key] for key in keys]
