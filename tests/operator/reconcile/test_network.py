import asyncio
from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.errors import KubeError, UnavailableError
from ringfence_operator.reconcile.context import build_context
from ringfence_operator.reconcile.gateway import Force, Standing
from ringfence_operator.reconcile.network import Networks, enforcement, settles_in
from ringfence_operator.reconcile.network_verdict import Known
from ringfence_operator.resources.gateway import build_admission, build_port_set_service, port_rules
from ringfence_operator.resources.network_policy import build_default_deny
from ringfence_operator.resources.network_probe import Verdict
from ringfence_operator.settings import Settings
from tests.operator.reconcile.api_server import FakeApiServer
from tests.operator.reconcile.contexts import running_pod
from tests.operator.reconcile.fake_gateway import FakeGateway
from tests.operator.reconcile.tables import build_tables, build_view
from tests.operator.resources.objects import NOW, SETTINGS, agent_body, make_agent, policy_body

Raw = dict[str, Any]
DENY = "ringfence-default-deny"


class SlowServer(FakeApiServer):
    """Lets every other task have its turn before it answers a write."""

    async def create(self, path: str, body: Raw) -> Raw:
        for _ in range(3):
            await asyncio.sleep(0)
        return await super().create(path, body)


class Cluster:
    """Caches, an API server, and the object under test."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.api = SlowServer(lambda: NOW)
        self.tables = build_tables()
        self.view = build_view(self.tables, settings or SETTINGS)
        self.networks = Networks(self.view, self.api)

    def have(self, plural: str, body: Raw) -> Raw:
        """Put an object on the server and into the cache."""
        raw = self.api.add(plural, body, body["metadata"].get("namespace", ""))
        self.tables[plural].store(raw)
        return raw

    def change(self, plural: str, name: str, **spec: Any) -> None:
        raw = self.api.change((plural, "team", name), lambda it: it["spec"].update(spec), is_spec=True)
        self.tables[plural].store(raw)

    async def prepare(self, name: str = "a", **spec: Any) -> None:
        await self.networks.prepare(build_context(make_agent(name, **spec), self.view, now=NOW))

    def spec_of(self, name: str) -> Raw:
        return self.api.objects["networkpolicies", "team", name]["spec"]  # type: ignore[no-any-return]

    @property
    def names(self) -> list[str]:
        return sorted(name for plural, _, name in self.api.objects if plural == "networkpolicies")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_sixteen_agents_at_once_in_a_new_namespace_cost_one_write(cluster: Cluster) -> None:
    await asyncio.gather(*(cluster.prepare(f"a{number}") for number in range(16)))

    assert cluster.api.writes == ["create networkpolicies"]
    assert cluster.names == [DENY]


async def test_agents_of_two_namespaces_do_not_wait_for_each_other(cluster: Cluster) -> None:
    await asyncio.gather(*(cluster.prepare(namespace=namespace) for namespace in ("x", "y")))

    assert cluster.api.writes == ["create networkpolicies"] * 2


async def test_where_the_first_write_fails_every_agent_learns_it_or_finds_it_done(cluster: Cluster) -> None:
    cluster.api.fuse = (0, False, UnavailableError("down"))

    found = await asyncio.gather(*(cluster.prepare(f"a{n}") for n in range(4)), return_exceptions=True)

    assert sum(isinstance(each, UnavailableError) for each in found) == 1
    assert cluster.names == [DENY]
    assert cluster.api.writes == ["create networkpolicies"]


async def test_nothing_is_written_where_all_is_there(cluster: Cluster) -> None:
    cluster.have("securitypolicies", policy_body())
    await cluster.prepare(securityPolicyRef={"name": "p"})
    before = list(cluster.api.writes)

    await cluster.prepare("b", securityPolicyRef={"name": "p"})

    assert before == ["create networkpolicies"] * 2
    assert cluster.names == [DENY, "ringfence-policy-p"]
    assert cluster.api.writes == before


async def test_isolation_none_is_not_closed() -> None:
    cluster = Cluster(Settings(minimum_isolation=Isolation.NONE))

    await cluster.prepare(isolation="None")

    assert cluster.names == []


async def test_the_clusters_policy_is_opened_in_the_agents_namespace() -> None:
    cluster = Cluster(Settings(default_policy="sys/base", egress_backend="none"))
    cluster.have("securitypolicies", policy_body("base", namespace="sys", network={"cidrs": [{"cidr": "8.8.8.0/24"}]}))

    await cluster.prepare()

    assert cluster.names == ["ringfence-cluster-base", DENY]
    assert cluster.spec_of("ringfence-cluster-base")["egress"] == [{"to": [{"ipBlock": {"cidr": "8.8.8.0/24"}}]}]


async def test_a_default_deny_that_the_caches_do_not_show_is_taken_over(cluster: Cluster) -> None:
    cluster.api.add("networkpolicies", build_default_deny("team"), "team")

    await cluster.prepare()
    first = list(cluster.api.writes)
    await cluster.prepare("b")

    assert cluster.names == [DENY]
    assert cluster.api.writes == first


@pytest.mark.parametrize(
    "change",
    [
        {"egress": [{}]},
        {"ingress": [{}]},
        {"policyTypes": ["Ingress"]},
        {"podSelector": {"matchLabels": {"nobody": "x"}}},
    ],
)
async def test_a_default_deny_that_somebody_changed_is_put_right(cluster: Cluster, change: Raw) -> None:
    await cluster.prepare()
    cluster.have("agents", agent_body())
    cluster.change("networkpolicies", DENY, **change)

    await cluster.networks.restore("team", DENY)

    assert cluster.spec_of(DENY) == build_default_deny("team")["spec"]


async def test_a_default_deny_whose_label_somebody_took_is_put_right(cluster: Cluster) -> None:
    await cluster.prepare()
    place = ("networkpolicies", "team", DENY)
    cluster.api.change(place, lambda raw: raw["metadata"].update(labels={}))
    cluster.change("networkpolicies", DENY, egress=[{}])

    await cluster.prepare("b")

    assert cluster.spec_of(DENY) == build_default_deny("team")["spec"]


async def test_what_a_policy_opens_is_put_right_although_somebody_took_its_label(cluster: Cluster) -> None:
    cluster.have("securitypolicies", policy_body())
    await cluster.prepare(securityPolicyRef={"name": "p"})
    before = cluster.spec_of("ringfence-policy-p")
    cluster.api.change(("networkpolicies", "team", "ringfence-policy-p"), lambda raw: raw["metadata"].update(labels={}))
    cluster.change("networkpolicies", "ringfence-policy-p", egress=[{}])

    await cluster.prepare("b", securityPolicyRef={"name": "p"})

    assert cluster.spec_of("ringfence-policy-p") == before


async def test_a_default_deny_that_somebody_deleted_comes_back_while_there_are_agents(cluster: Cluster) -> None:
    await cluster.networks.restore("team", DENY)
    without = list(cluster.names)
    cluster.have("agents", agent_body())

    await cluster.networks.restore("team", DENY)

    assert (without, cluster.names) == ([], [DENY])


async def test_what_a_policy_opens_is_restored_as_the_policy_says(cluster: Cluster) -> None:
    cluster.have("securitypolicies", policy_body(network={"cidrs": [{"cidr": "8.8.8.0/24"}]}))
    await cluster.networks.restore("team", "ringfence-policy-p")
    opened = cluster.spec_of("ringfence-policy-p")
    cluster.change("networkpolicies", "ringfence-policy-p", egress=[{}])

    await cluster.networks.restore("team", "ringfence-policy-p")

    assert cluster.spec_of("ringfence-policy-p") == opened


@pytest.mark.parametrize("name", ["ringfence-policy-p", "ringfence-cluster-p"])
async def test_what_no_policy_names_any_more_is_removed(cluster: Cluster, name: str) -> None:
    body = build_default_deny("team")
    cluster.have("networkpolicies", body | {"metadata": body["metadata"] | {"name": name}})

    await cluster.networks.restore("team", name)

    assert cluster.names == []


async def test_a_policy_that_is_no_longer_the_clusters_is_closed_where_it_held() -> None:
    cluster = Cluster(Settings(default_policy="sys/other", egress_backend="none"))
    cluster.have("securitypolicies", policy_body("base", namespace="sys"))
    cluster.have("securitypolicies", policy_body("other", namespace="sys"))
    body = build_default_deny("team")
    cluster.have("networkpolicies", body | {"metadata": body["metadata"] | {"name": "ringfence-cluster-base"}})

    await cluster.networks.restore("team", "ringfence-cluster-base")

    assert cluster.names == []


async def test_a_network_policy_of_an_unknown_name_is_left_alone(cluster: Cluster) -> None:
    body = build_default_deny("team")
    cluster.have("networkpolicies", body | {"metadata": body["metadata"] | {"name": "ringfence-of-tomorrow"}})

    await cluster.networks.restore("team", "ringfence-of-tomorrow")

    assert cluster.names == ["ringfence-of-tomorrow"]


async def test_remove_leaves_what_is_not_ours_and_bears_what_is_gone(cluster: Cluster) -> None:
    body = build_default_deny("team")
    foreign = {"name": "ringfence-policy-p", "namespace": "team"}
    cluster.have("networkpolicies", body | {"metadata": foreign})
    cluster.have("networkpolicies", body | {"metadata": body["metadata"] | {"name": "gone"}})
    del cluster.api.objects["networkpolicies", "team", "gone"]

    for name in ("ringfence-policy-p", "gone", "never"):
        await cluster.networks.remove("team", name)

    assert cluster.names == ["ringfence-policy-p"]


async def test_a_stale_view_never_overwrites_a_newer_network_policy(cluster: Cluster) -> None:
    await cluster.prepare()
    cluster.have("agents", agent_body())
    cluster.change("networkpolicies", DENY, egress=[{}])
    cluster.api.change(("networkpolicies", "team", DENY), lambda raw: raw["spec"].update(ingress=[{}]))

    with pytest.raises(KubeError):
        await cluster.networks.restore("team", DENY)


def foreign(selector: Raw, *, egress: bool = True, namespace: str = "team") -> Raw:
    spec: Raw = {"podSelector": selector, "policyTypes": ["Egress" if egress else "Ingress"]}
    spec |= {"egress": [{}]} if egress else {"ingress": [{}]}
    return {"metadata": {"name": "theirs", "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize(
    ("objects", "spec", "expected"),
    [
        ([], {}, (False, "Pending")),
        ([build_default_deny("team")], {}, (True, "InForce")),
        ([build_default_deny("team"), foreign({})], {}, (False, "ForeignNetworkPolicy")),
        (
            [build_default_deny("team"), foreign({"matchLabels": {"ringfence.dev/agent": "a"}})],
            {},
            (False, "ForeignNetworkPolicy"),
        ),
        ([build_default_deny("team"), foreign({"matchLabels": {"app": "db"}})], {}, (True, "InForce")),
        ([build_default_deny("team"), foreign({}, egress=False)], {}, (True, "InForce")),
        ([build_default_deny("team"), foreign({}, namespace="other")], {}, (True, "InForce")),
        ([build_default_deny("team")], {"isolation": "None"}, (False, "NotConfined")),
    ],
)
def test_enforced_says_whether_the_pods_confinement_holds(objects: list[Raw], spec: Raw, expected: Any) -> None:
    cluster = Cluster(Settings(minimum_isolation=Isolation.NONE))
    cluster.tables["pods"].store(running_pod())
    for each in objects:
        cluster.have("networkpolicies", each)

    found = enforcement(build_context(make_agent(**spec), cluster.view, now=NOW), cluster.view, None)

    assert found is not None
    assert found[:2] == expected


@pytest.mark.parametrize("is_allowed", [False, True])
def test_enforced_says_that_the_network_is_open_although_that_is_allowed(is_allowed: bool) -> None:
    changes = {"probe_image": "operator:1", "allow_unenforced_network": is_allowed}
    cluster = Cluster(SETTINGS.model_copy(update=changes))
    cluster.tables["pods"].store(running_pod())
    cluster.have("networkpolicies", build_default_deny("team"))
    cluster.view.network.known = Known(verdict=Verdict(("pod",)))

    found = enforcement(build_context(make_agent(), cluster.view, now=NOW), cluster.view, None)

    assert found is not None
    assert found[:2] == (False, "NetworkNotEnforced")


def test_without_a_pod_there_is_nothing_to_enforce(cluster: Cluster) -> None:
    assert enforcement(build_context(make_agent(), cluster.view, now=NOW), cluster.view, None) is None


SYSTEM = "ringfence-system"
ADMISSION = "ringfence-gateway-p-00000"


def gated(**settings: Any) -> Cluster:
    cluster = Cluster(Settings(**settings))
    cluster.have("securitypolicies", policy_body(network={"allowedDomains": [{"name": "a.io"}]}))
    cluster.have("services", build_port_set_service(0, ("team", "p"), namespace=SYSTEM, further={}))
    return cluster


def spec_in_system(cluster: Cluster, name: str) -> Raw:
    return cluster.api.objects["networkpolicies", SYSTEM, name]["spec"]  # type: ignore[no-any-return]


def spoil(cluster: Cluster, name: str, namespace: str = SYSTEM) -> None:
    place = ("networkpolicies", namespace, name)
    cluster.tables["networkpolicies"].store(cluster.api.change(place, lambda raw: raw["spec"].update(ingress=[{}])))


async def admit(cluster: Cluster) -> None:
    policy = cluster.view.policies.get("team", "p")
    assert policy is not None
    await cluster.networks.admit(policy)


async def test_both_ends_open_the_same_block() -> None:
    cluster = gated()
    policy = cluster.view.policies.get("team", "p")
    assert policy is not None

    await cluster.networks.open(policy, "team", is_cluster=False)
    await admit(cluster)

    assert cluster.spec_of("ringfence-policy-p")["egress"][0]["ports"] == port_rules(0)
    assert spec_in_system(cluster, ADMISSION)["ingress"][0]["ports"] == port_rules(0)
    assert spec_in_system(cluster, ADMISSION)["policyTypes"] == ["Ingress"]


async def test_the_gateways_end_is_written_once() -> None:
    cluster = gated()
    await admit(cluster)

    await admit(cluster)

    assert cluster.api.writes == ["create networkpolicies"]


async def test_without_a_port_set_nobody_is_admitted() -> None:
    cluster = gated()
    cluster.tables["services"].cache.clear()

    await admit(cluster)

    assert cluster.names == []


async def test_the_gateways_end_that_somebody_changed_is_put_right() -> None:
    cluster = gated()
    await admit(cluster)
    before = spec_in_system(cluster, ADMISSION)
    spoil(cluster, ADMISSION)

    await cluster.networks.restore(SYSTEM, ADMISSION)

    assert spec_in_system(cluster, ADMISSION) == before


async def test_the_gateways_end_of_a_policy_that_is_gone_is_removed() -> None:
    cluster = gated()
    await admit(cluster)
    cluster.tables["securitypolicies"].cache.clear()

    await cluster.networks.restore(SYSTEM, ADMISSION)

    assert cluster.names == []


async def test_the_gateways_end_of_a_policys_second_port_set_is_removed() -> None:
    cluster = gated()
    cluster.have("services", build_port_set_service(1, ("team", "p"), namespace=SYSTEM, further={}))
    cluster.have("networkpolicies", build_admission(1, ("team", "p"), namespace=SYSTEM, is_cluster=False))

    await cluster.networks.restore(SYSTEM, "ringfence-gateway-p-00001")

    assert cluster.names == []


@pytest.mark.parametrize("name", ["ringfence-gateway", ADMISSION, "ringfence-gateway-p-00009", "ringfence-policy-z"])
async def test_what_a_tenant_named_and_labelled_like_ours_is_removed(name: str) -> None:
    cluster = gated()
    body = build_default_deny("team")
    cluster.have("networkpolicies", body | {"metadata": body["metadata"] | {"name": name}})

    await cluster.networks.restore("team", name)

    assert cluster.names == []


async def test_the_gateway_is_confined_and_put_right_when_somebody_changed_it() -> None:
    cluster = gated(reserved_cidrs=("198.51.100.0/24",))
    await cluster.networks.confine_gateway()
    before = spec_in_system(cluster, "ringfence-gateway")
    spoil(cluster, "ringfence-gateway")

    await cluster.networks.restore(SYSTEM, "ringfence-gateway")

    assert spec_in_system(cluster, "ringfence-gateway") == before
    assert "198.51.100.0/24" in before["egress"][0]["to"][0]["ipBlock"]["except"]
    assert before["policyTypes"] == ["Egress"]


async def test_without_a_gateway_nothing_is_confined(cluster: Cluster) -> None:
    await cluster.networks.confine_gateway()

    assert cluster.names == []


def on_gateway(standing: Standing, was_enforced: bool | None, network: Raw) -> tuple[Any, float | None]:
    cluster = gated()
    cluster.change("securitypolicies", "p", network=network)
    cluster.have("networkpolicies", build_default_deny("team"))
    cluster.tables["pods"].store(running_pod())
    conditions = [
        {"type": "Enforced", "status": str(was_enforced), "reason": "x", "lastTransitionTime": "2026-11-23T12:00:00Z"}
    ]
    known = {"conditions": conditions} if was_enforced is not None else {}
    agent = make_agent(status=known, securityPolicyRef={"name": "p"})
    context = build_context(agent, cluster.view, now=NOW)
    gateway = FakeGateway()
    gateway.fixed = standing
    return enforcement(context, cluster.view, gateway), settles_in(context, cluster.view, gateway)


NAMES: Raw = {"allowedDomains": [{"name": "a.io"}]}


@pytest.mark.parametrize(
    ("standing", "was_enforced", "network", "expected", "again"),
    [
        (Standing(Force.IN_FORCE, 99.0), None, NAMES, (True, "InForce"), None),
        (Standing(Force.PENDING, 1.0), None, NAMES, (False, "GatewayPending"), 9.0),
        (Standing(Force.PENDING, 1.0), False, NAMES, (False, "GatewayPending"), 9.0),
        (Standing(Force.PENDING, 1.0), True, NAMES, (True, "InForce"), 9.0),
        (Standing(Force.PENDING, 10.0), True, NAMES, (False, "GatewayPending"), None),
        (Standing(Force.UNAVAILABLE, 1.0), True, NAMES, (True, "InForce"), 9.0),
        (Standing(Force.UNAVAILABLE, 60.0), True, NAMES, (False, "GatewayUnavailable"), None),
        (Standing(Force.REFUSED, 60.0), True, NAMES, (False, "GatewayRefused"), None),
        (Standing(Force.UNAVAILABLE, 60.0), True, {}, (True, "InForce"), None),
    ],
)
def test_a_change_on_its_way_to_the_gateway_flips_no_running_agent_unless_it_takes_long(
    standing: Standing, was_enforced: bool | None, network: Raw, expected: Any, again: float | None
) -> None:
    found, settles = on_gateway(standing, was_enforced, network)

    assert (found[:2], settles) == (expected, again)
