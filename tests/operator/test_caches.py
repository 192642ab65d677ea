from collections.abc import Callable
from itertools import count
from typing import Any, cast

import pytest

from ringfence_operator.caches import Caches
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.informer import Informer
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.resources.gateway import build_admission, build_port_set_service
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.settings import Settings
from tests.operator.resources.objects import SETTINGS, agent_body, node_body, pod_body, policy_body, quota_body
from tests.operator.runtime.clock import FakeClock

Raw = dict[str, Any]
A, B = Task("Agent", "team", "a"), Task("Agent", "team", "b")
P = Task("SecurityPolicy", "team", "p")
PROBE = Task("NetworkProbe", "ringfence-system", "ringfence-network-probe")
PROBING = SETTINGS.model_copy(update={"probe_image": "operator:1"})
NAMES_P: Raw = {"securityPolicyRef": {"name": "p"}}


class Watched:
    """Caches that follow what a test puts in, and the queue behind them."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.clock = FakeClock()
        self.queue: WorkQueue[Task] = WorkQueue(clock=self.clock, call_later=self.clock.call_later)
        # No informer runs, so nothing asks the client.
        self.caches = Caches(cast("Client", None), settings or SETTINGS, self.queue)
        self._versions = count(10)

    def _informer(self, name: str) -> Informer[Any]:
        return next(each for each in self.caches.informers if each.name == name)

    def see(self, name: str, raw: Raw) -> Raw:
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        self._informer(name).store(raw)
        return raw

    def lose(self, name: str, raw: Raw) -> None:
        version = str(next(self._versions))
        self._informer(name)._deleted(raw | {"metadata": raw["metadata"] | {"resourceVersion": version}})

    async def marked(self, *, after: float = 0.0) -> list[Task]:
        """Return what is to be looked at now, in order, and have it done."""
        self.clock.advance(after)
        found = []
        while len(self.queue):
            task = await self.queue.get()
            found.append(task)
            self.queue.done(task)
        return found


@pytest.fixture
def watched() -> Watched:
    return Watched()


def network_policy(name: str, *, is_ours: bool = True, version: str = "1", **spec: Any) -> Raw:
    labels = {"app.kubernetes.io/managed-by": "ringfence"} if is_ours else {}
    meta = {"name": name, "namespace": "team", "uid": name, "resourceVersion": version, "labels": labels}
    return {"metadata": meta, "spec": {"podSelector": {}, "policyTypes": ["Egress"]} | spec}


async def test_a_new_a_changed_and_a_deleted_agent_are_looked_at(watched: Watched) -> None:
    raw = watched.see("agents", agent_body())
    first = await watched.marked()
    watched.see("agents", agent_body(image="x:2"))
    second = await watched.marked()
    watched.lose("agents", raw)

    assert [first, second, await watched.marked()] == [[A], [A], [A]]


async def test_a_burst_of_agents_is_counted_once_and_later(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())
    await watched.marked()
    for number in range(50):
        watched.see("agents", agent_body(f"a{number}", **NAMES_P))

    now, later = await watched.marked(), await watched.marked(after=10)

    assert (len(now), P in now, later) == (50, False, [P])


async def test_a_status_changes_no_count(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())
    watched.see("agents", agent_body(**NAMES_P))
    await watched.marked(after=10)

    watched.see("agents", agent_body(status={"state": "Running"}, **NAMES_P))

    assert await watched.marked(after=10) == [A]


async def test_a_policy_is_looked_at_before_the_agents_that_name_it(watched: Watched) -> None:
    watched.see("agents", agent_body(**NAMES_P))
    watched.see("agents", agent_body("b"))
    await watched.marked(after=10)

    watched.see("securitypolicies", policy_body())

    assert await watched.marked() == [P, A]


async def test_a_policys_status_concerns_no_agent(watched: Watched) -> None:
    watched.see("agents", agent_body(**NAMES_P))
    watched.see("securitypolicies", policy_body())
    await watched.marked(after=10)

    watched.see("securitypolicies", policy_body() | {"status": {"agents": 3}})

    assert await watched.marked() == [P]


async def test_the_clusters_policy_concerns_every_agent() -> None:
    watched = Watched(Settings(default_policy="team/p", egress_backend="none"))
    for name in ("a", "b"):
        watched.see("agents", agent_body(name))
    await watched.marked(after=10)

    raw = watched.see("securitypolicies", policy_body())
    seen = await watched.marked()
    watched.lose("securitypolicies", raw)

    assert sorted(seen) == sorted(await watched.marked()) == sorted([P, A, B])


@pytest.mark.parametrize("kind", ["pods", "services"])
async def test_an_agents_children_wake_it(watched: Watched, kind: str) -> None:
    raw = watched.see(kind, pod_body())
    first = await watched.marked()
    watched.lose(kind, raw)

    assert first == await watched.marked() == [A]


async def test_a_claim_wakes_all_who_use_it(watched: Watched) -> None:
    watched.see("agents", agent_body(workspace={"claimName": "kept"}))
    watched.see("agents", agent_body("b", workspace={"claimName": "kept"}))
    watched.see("agents", agent_body("c", workspace={"size": "1Gi"}))
    await watched.marked(after=10)

    watched.see("persistentvolumeclaims", {"metadata": {"name": "kept", "namespace": "team", "uid": "k"}, "spec": {}})

    assert sorted(await watched.marked()) == [A, B]


async def test_an_agent_that_goes_wakes_those_who_wait_for_its_claim(watched: Watched) -> None:
    raw = watched.see("agents", agent_body(workspace={"claimName": "kept"}))
    watched.see("agents", agent_body("b", workspace={"claimName": "kept"}))
    await watched.marked()

    watched.lose("agents", raw)

    assert sorted(await watched.marked()) == [A, B]


async def test_our_network_policies_are_restored_when_they_change_or_go(watched: Watched) -> None:
    raw = watched.see("networkpolicies", network_policy("ringfence-policy-p"))
    await watched.marked()
    watched.see("networkpolicies", network_policy("ringfence-policy-p", egress=[{}]))
    changed = await watched.marked()
    watched.lose("networkpolicies", raw)

    assert changed == await watched.marked() == [Task("NetworkPolicy", "team", "ringfence-policy-p")]


async def test_a_network_policy_of_ours_whose_label_somebody_took_is_restored(watched: Watched) -> None:
    watched.see("networkpolicies", network_policy("ringfence-policy-p"))
    await watched.marked()

    watched.see("networkpolicies", network_policy("ringfence-policy-p", is_ours=False, egress=[{}]))

    assert Task("NetworkPolicy", "team", "ringfence-policy-p") in await watched.marked()


async def test_a_foreign_network_policy_concerns_the_agents_of_its_namespace(watched: Watched) -> None:
    watched.see("agents", agent_body())
    watched.see("agents", agent_body("c", namespace="other"))
    await watched.marked()

    raw = watched.see("networkpolicies", network_policy("theirs", is_ours=False, egress=[{}]))
    seen = await watched.marked()
    watched.lose("networkpolicies", raw)

    assert seen == await watched.marked() == [A]


async def test_a_node_that_goes_wakes_the_agents_whose_pods_are_on_it(watched: Watched) -> None:
    raw = watched.see("nodes", node_body())
    watched.see("pods", pod_body(node="n1"))
    watched.see("pods", pod_body("b", uid="pod-b", node="n2"))
    await watched.marked()

    watched.lose("nodes", raw)

    assert await watched.marked() == [A]


async def test_a_nodes_addresses_concern_every_policy_and_its_heartbeats_nobody(watched: Watched) -> None:
    watched.see("nodes", node_body())
    watched.see("securitypolicies", policy_body())
    await watched.marked()

    watched.see("nodes", node_body() | {"extra": "heartbeat"})
    quiet = await watched.marked()
    watched.see("nodes", node_body(pod_cidrs=["10.9.0.0/24"]))

    assert (quiet, await watched.marked()) == ([], [P])


async def test_a_runtime_class_concerns_every_agent(watched: Watched) -> None:
    watched.see("agents", agent_body())
    await watched.marked()

    watched.see("runtimeclasses", {"metadata": {"name": "gvisor", "uid": "g"}})

    assert await watched.marked() == [A]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("servicecidrs", {"metadata": {"name": "k", "uid": "k"}, "spec": {"cidrs": ["10.96.0.0/16"]}}),
        (
            "endpointslices",
            {"metadata": {"name": "k", "namespace": "default", "uid": "k"}, "endpoints": [{"addresses": ["10.0.0.1"]}]},
        ),
    ],
)
async def test_reserved_addresses_concern_every_policy(watched: Watched, kind: str, raw: Raw) -> None:
    watched.see("securitypolicies", policy_body())
    await watched.marked()

    watched.see(kind, raw)

    assert await watched.marked() == [P]


async def test_a_new_leader_looks_at_everything_policies_first(watched: Watched) -> None:
    watched.see("agents", agent_body())
    watched.see("agents", agent_body("b"))
    watched.see("securitypolicies", policy_body())
    await watched.marked(after=10)

    watched.caches.changes.mark_all()

    assert await watched.marked() == [P, A, B]


async def test_what_somebody_waits_for_goes_before_what_follows(watched: Watched) -> None:
    watched.see("agents", agent_body())
    watched.see("agents", agent_body("b"))
    await watched.marked()

    watched.see("runtimeclasses", {"metadata": {"name": "gvisor", "uid": "g"}})
    watched.see("pods", pod_body("b", uid="pod-b"))

    assert await watched.marked() == [B, A]


async def test_a_policy_that_does_not_fit_is_left_as_it_was(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())

    watched.see("securitypolicies", policy_body(network="open"))

    found = watched.caches.view.policies.get("team", "p")
    assert found is not None
    assert found.spec.network.enabled


def prober(phase: str, *, uid: str = "p1", pod: str = "refused") -> Raw:
    marks = {"app.kubernetes.io/name": "ringfence-network-probe"}
    meta = {"name": "ringfence-network-probe", "namespace": "ringfence-system", "uid": uid, "labels": marks}
    ended = {"exitCode": 0, "message": f'{{"pod": "{pod}", "kubelet": "refused"}}'} if phase == "Succeeded" else {}
    status = {"phase": phase, "containerStatuses": [{"state": {"terminated": ended} if ended else {}}]}
    return {
        "metadata": meta | {"creationTimestamp": "2026-11-23T12:00:00Z"},
        "spec": {"containers": [{"image": "operator:1"}]},
        "status": status,
    }


async def test_agents_are_looked_at_when_the_verdict_on_the_network_is_another_one() -> None:
    watched = Watched(PROBING)
    watched.see("agents", agent_body())
    await watched.marked()

    watched.see("probepods", prober("Pending"))
    pending = await watched.marked()
    raw = watched.see("probepods", prober("Succeeded", pod="open"))
    ended = await watched.marked()
    watched.lose("probepods", raw)
    gone = await watched.marked()

    assert (pending, ended, gone) == ([PROBE], [PROBE, A], [PROBE])
    assert watched.caches.view.network.enforced() is False


async def test_a_probe_begins_with_a_leader_and_with_the_policy_that_closes_it() -> None:
    watched = Watched(PROBING)
    watched.caches.changes.mark_all()
    first = await watched.marked()
    meta = {"name": "ringfence-network-probe", "namespace": "ringfence-system", "uid": "n"}
    watched.see("networkpolicies", {"metadata": meta, "spec": {"podSelector": {}}})

    assert [first, await watched.marked()] == [[PROBE], [PROBE]]


async def test_where_nothing_is_probed_the_probes_pods_are_nobodys(watched: Watched) -> None:
    watched.see("probepods", prober("Pending"))

    assert await watched.marked() == []


Q, R = Task("Quota", "team", "q"), Task("Quota", "team", "r")


def labelled(name: str, team: str, **spec: Any) -> Raw:
    body = agent_body(name, **spec)
    body["metadata"]["labels"] = {"team": team}
    return body


def selecting(name: str, team: str) -> Raw:
    return quota_body(name, selector={"matchLabels": {"team": team}})


async def test_a_new_a_changed_and_a_deleted_quota_concern_the_agents_that_it_holds_for(watched: Watched) -> None:
    watched.see("agents", labelled("a", "red"))
    watched.see("agents", agent_body("b", quotaRef={"name": "q"}))
    watched.see("agents", labelled("c", "blue"))
    await watched.marked(after=10)
    raw = watched.see("quotas", selecting("q", "red"))
    new = await watched.marked()
    changed = selecting("q", "blue")
    changed["metadata"]["generation"] = 2
    watched.see("quotas", changed)
    other = await watched.marked()
    watched.lose("quotas", raw)

    c = Task("Agent", "team", "c")
    assert [set(new), set(other), set(await watched.marked())] == [{Q, A, B}, {Q, A, B, c}, {Q, B, c}]


async def test_the_first_and_the_last_limit_on_the_network_concern_every_policy_and_agent(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())
    watched.see("agents", agent_body("b"))
    await watched.marked()
    limit = {"resource": "networkBytes", "max": "1M", "window": "Hour"}

    raw = watched.see("quotas", quota_body("q", limit, selector={"matchLabels": {"team": "red"}}))
    first = set(await watched.marked())
    watched.lose("quotas", raw)
    last = set(await watched.marked())

    assert first >= {P, B}
    assert last >= {P, B}


async def test_a_quotas_status_concerns_no_agent(watched: Watched) -> None:
    watched.see("agents", labelled("a", "red"))
    watched.see("quotas", selecting("q", "red"))
    await watched.marked(after=10)

    watched.see("quotas", selecting("q", "red") | {"status": {"agents": 3}})

    assert await watched.marked() == [Q]


async def test_another_label_or_another_name_concerns_the_quotas_before_and_after(watched: Watched) -> None:
    for quota in (selecting("q", "red"), selecting("r", "blue"), quota_body("named")):
        watched.see("quotas", quota)
    watched.see("agents", labelled("a", "red"))
    await watched.marked(after=10)

    watched.see("agents", labelled("a", "blue"))
    relabelled = await watched.marked(), set(await watched.marked(after=10))
    named = labelled("a", "blue", quotaRef={"name": "named"})
    named["metadata"]["generation"] = 2
    watched.see("agents", named)

    assert relabelled == ([A], {Q, R})
    assert set(await watched.marked(after=10)) == {A, R, Task("Quota", "team", "named")}


async def test_what_is_used_of_a_quota_is_looked_at_together(watched: Watched) -> None:
    for _ in range(50):
        watched.caches.changes.quota_stands_otherwise(("team", "q"))

    now, later = await watched.marked(), await watched.marked(after=5)

    assert (now, later) == ([], [Q])


async def test_a_pod_that_comes_or_goes_has_its_agents_quotas_shared_out_anew(watched: Watched) -> None:
    watched.see("agents", labelled("a", "red"))
    watched.see("quotas", selecting("q", "red"))
    await watched.marked(after=10)
    found = []

    for phase in ("Pending", "Running", "Succeeded"):
        watched.see("pods", pod_body(name="a", phase=phase))
        found.append(Q in await watched.marked(after=10))

    assert found == [True, False, True]


async def test_a_new_leader_looks_at_every_quota(watched: Watched) -> None:
    watched.see("quotas", quota_body())
    await watched.marked(after=10)

    watched.caches.changes.mark_all()

    assert Q in await watched.marked()


def test_each_resource_is_watched_once(watched: Watched) -> None:
    names = [each.name for each in watched.caches.informers]

    assert len(names) == len(set(names)) == 17


def every(check: Callable[[Informer[Any]], bool], watched: Watched) -> bool:
    return all(check(each) for each in watched.caches.informers)


async def test_nothing_is_synced_before_every_cache_is(watched: Watched) -> None:
    for each in watched.caches.informers:
        assert not every(lambda it: it.synced.is_set(), watched)
        each.synced.set()

    await watched.caches.synced()


SYSTEM = "ringfence-system"
BLOCK = Task("PortSet", SYSTEM, "p-00003")
GATEWAY = Task("Gateway", SYSTEM, "ringfence-gateway")


def service(name: str, namespace: str, *, labels: Raw | None = None, **spec: Any) -> Raw:
    meta = {"name": name, "namespace": namespace, "uid": name, "labels": labels or {}}
    return {"metadata": meta, "spec": {"clusterIP": "10.96.0.9", "selector": {"app": "db"}} | spec}


def port_set(namespace: str = SYSTEM, **spec: Any) -> Raw:
    raw = build_port_set_service(3, ("team", "p"), namespace=namespace, further={})
    raw["metadata"]["uid"] = "s"
    raw["spec"] |= {"clusterIP": "10.96.0.9"} | spec
    return raw


def gateway_pod(*, ready: bool = True) -> Raw:
    conditions = [{"type": "Ready", "status": str(ready)}]
    meta = {"name": "g1", "namespace": SYSTEM, "uid": "g1"}
    return {"metadata": meta, "status": {"phase": "Running", "conditions": conditions}}


async def test_a_service_wakes_the_policies_that_name_it(watched: Watched) -> None:
    named = {"destinations": [{"service": {"name": "db", "namespace": "data"}}]}
    watched.see("securitypolicies", policy_body(network=named))
    watched.see("securitypolicies", policy_body("q", network={"destinations": [{"service": {"name": "db"}}]}))
    await watched.marked()

    raw = watched.see("services", service("db", "data"))
    came = await watched.marked()
    watched.see("services", service("other", "data"))
    other = await watched.marked()
    watched.lose("services", raw)

    assert (came, other, await watched.marked()) == ([P], [], [P])


async def test_a_port_set_wakes_its_policy_and_the_agents_under_it(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())
    watched.see("agents", agent_body(**NAMES_P))
    watched.see("agents", agent_body("b"))
    await watched.marked(after=10)

    raw = watched.see("services", port_set())
    came = await watched.marked()
    watched.see("services", port_set(selector={"app": "theirs"}))
    edited = await watched.marked()
    watched.lose("services", raw)

    assert sorted(came) == sorted(edited) == sorted(await watched.marked()) == sorted([BLOCK, P, A])


async def test_a_port_set_whose_labels_somebody_took_still_wakes_its_policy(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())
    watched.see("services", port_set())
    await watched.marked()

    bare = port_set()
    bare["metadata"]["labels"] = {}
    watched.see("services", bare)

    assert P in await watched.marked()


async def test_a_tenants_service_that_looks_like_a_port_set_wakes_nobody(watched: Watched) -> None:
    watched.see("securitypolicies", policy_body())
    await watched.marked()

    watched.see("services", port_set(namespace="team"))


CILIUM = Settings(default_policy="sys/base", egress_backend="cilium")
NETWORK_P = Task("NetworkPolicy", "team", "ringfence-policy-p")


def cilium_policy(name: str = "ringfence-policy-p", *, is_ours: bool = True, **more: Any) -> Raw:
    labels = {"app.kubernetes.io/managed-by": "ringfence"} if is_ours else {}
    return {"metadata": {"name": name, "namespace": "team", "uid": name, "labels": labels}, "spec": {}} | more


async def test_cilium_network_policies_are_followed_under_that_back_end_only(watched: Watched) -> None:
    names = [[each.name for each in caches.informers] for caches in (watched.caches, Watched(CILIUM).caches)]

    assert ["ciliumnetworkpolicies" in each for each in names] == [False, True]


async def test_a_cilium_network_policy_is_restored_and_its_policy_and_agents_hear_of_it() -> None:
    watched = Watched(CILIUM)
    watched.see("agents", agent_body(**NAMES_P))
    await watched.marked(after=10)

    raw = watched.see("ciliumnetworkpolicies", cilium_policy())
    first = await watched.marked()
    watched.see("ciliumnetworkpolicies", cilium_policy(spec={"egress": [{}]}))
    edited = await watched.marked()
    invalid = {"conditions": [{"type": "Valid", "status": "False", "message": "no"}]}
    watched.see("ciliumnetworkpolicies", cilium_policy(spec={"egress": [{}]}, status=invalid))
    refused = await watched.marked()
    watched.lose("ciliumnetworkpolicies", raw)

    assert edited == [NETWORK_P]
    assert sorted(first) == sorted(refused) == sorted(await watched.marked()) == sorted([NETWORK_P, P, A])


async def test_the_clusters_policy_hears_of_its_cilium_network_policies() -> None:
    watched = Watched(CILIUM)

    watched.see("ciliumnetworkpolicies", cilium_policy("ringfence-cluster-base"))

    assert Task("SecurityPolicy", "sys", "base") in await watched.marked()


async def test_a_foreign_cilium_network_policy_concerns_nobody() -> None:
    watched = Watched(CILIUM)

    watched.see("ciliumnetworkpolicies", cilium_policy("theirs", is_ours=False))

    assert await watched.marked() == []


async def test_a_policy_that_goes_has_its_port_set_given_back(watched: Watched) -> None:
    raw = watched.see("securitypolicies", policy_body())
    watched.see("services", port_set())
    await watched.marked()

    watched.lose("securitypolicies", raw)

    assert sorted(await watched.marked()) == sorted([P, BLOCK])


async def test_a_replica_of_the_gateway_that_comes_or_goes_concerns_everybody() -> None:
    watched = Watched(Settings())
    watched.see("securitypolicies", policy_body())
    watched.see("agents", agent_body())
    await watched.marked(after=10)

    for raw in (gateway_pod(ready=False), gateway_pod(), gateway_pod(ready=False)):
        watched.see("gatewaypods", raw)
        assert sorted(await watched.marked()) == sorted([GATEWAY, P, A])
    watched.see("gatewaypods", gateway_pod(ready=False) | {"extra": "heartbeat"})
    quiet = await watched.marked()
    watched.lose("gatewaypods", raw)

    assert quiet == []
    assert sorted(await watched.marked()) == sorted([GATEWAY, P, A])


async def test_what_the_gateway_said_of_a_policy_concerns_its_agents() -> None:
    watched = Watched(Settings(default_policy="team/p"))
    watched.see("agents", agent_body(**NAMES_P))
    watched.see("agents", agent_body("b"))
    await watched.marked(after=10)

    watched.caches.changes.policy_stands_otherwise("team/p")

    assert sorted(await watched.marked()) == sorted([P, A, B])


async def test_a_new_leader_looks_at_the_gateway_and_every_port_set() -> None:
    watched = Watched(Settings())
    watched.see("services", port_set())
    watched.see("services", port_set(namespace="team"))


async def test_a_new_leader_looks_at_what_is_left_of_a_policy_that_is_gone() -> None:
    watched = Watched(CILIUM)
    watched.see("ciliumnetworkpolicies", cilium_policy())
    await watched.marked()

    watched.caches.changes.mark_all()

    assert await watched.marked() == [NETWORK_P]


async def test_a_new_leader_looks_at_a_block_that_is_open_although_its_service_is_gone() -> None:
    watched = Watched(Settings())
    for block, namespace in ((3, SYSTEM), (4, "elsewhere")):
        body = build_admission(block, ("team", "p"), namespace=namespace, is_cluster=False)
        body["metadata"]["uid"] = body["metadata"]["name"]
        watched.see("networkpolicies", body)
    await watched.marked(after=10)

    watched.caches.changes.mark_all()

    marked = await watched.marked()
    assert [task for task in marked if task.kind == "PortSet"] == [BLOCK]


async def test_cilium_being_installed_and_the_clusters_dns_concern_everybody() -> None:
    watched = Watched(CILIUM)
    watched.see("securitypolicies", policy_body())
    watched.see("agents", agent_body())
    await watched.marked(after=10)

    watched.caches.changes.everything()
    installed = await watched.marked()
    watched.see("services", {"metadata": {"name": "kube-dns", "namespace": "kube-system", "uid": "d"}, "spec": {}})

    assert installed == await watched.marked() == [P, A]
