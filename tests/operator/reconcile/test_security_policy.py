from typing import Any

import pytest

from ringfence_operator.reconcile.gateway import SETTLE_SECONDS, Force, Seen, Standing
from ringfence_operator.reconcile.policy_status import Found, policy_status
from ringfence_operator.reconcile.security_policy import (
    FULL_SECONDS,
    SEEN_SECONDS,
    PolicyTools,
    namespaces_of_cluster_policy,
    reconcile_security_policy,
    remove_security_policy,
)
from ringfence_operator.settings import Settings
from tests.operator.reconcile.gateways import SYSTEM, Gated
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, agent_body, make_policy, policy_body

Raw = dict[str, Any]
OPEN: Raw = {"cidrs": [{"cidr": "8.8.8.0/24"}]}
DEFAULT = Settings(default_policy="sys/base", egress_backend="none")
FOUND = Found(Standing(Force.IN_FORCE))


def tools(cluster: Cluster) -> PolicyTools:
    return PolicyTools(cluster.view, cluster.api, cluster.networks)


async def reconcile(cluster: Cluster, namespace: str = "team", name: str = "p") -> float | None:
    policy = cluster.view.policies.get(namespace, name)
    assert policy is not None
    return await reconcile_security_policy(policy, tools(cluster), now=NOW)


async def test_a_policy_is_in_force_after_two_writes_and_none_after_that() -> None:
    cluster = Cluster()
    cluster.have("securitypolicies", policy_body(network=OPEN))

    await reconcile(cluster)
    first = list(cluster.api.writes)
    await reconcile(cluster)

    assert first == cluster.api.writes == ["create networkpolicies", "replace securitypolicies/status"]
    assert cluster.names == ["ringfence-policy-p"]
    status = cluster.api.objects["securitypolicies", "team", "p"]["status"]
    assert status["conditions"][0]["reason"] == "InForce"
    assert kstatus(1, status) == "Current"


async def test_a_changed_policy_changes_what_is_open() -> None:
    cluster = Cluster()
    cluster.have("securitypolicies", policy_body(network=OPEN))
    await reconcile(cluster)
    cluster.change("securitypolicies", "p", network={"cidrs": [{"cidr": "9.9.9.0/24"}]})

    await reconcile(cluster)

    assert cluster.spec_of("ringfence-policy-p")["egress"] == [{"to": [{"ipBlock": {"cidr": "9.9.9.0/24"}}]}]


async def test_a_deleted_policy_closes_at_once() -> None:
    cluster = Cluster()
    cluster.have("securitypolicies", policy_body(network=OPEN))
    await reconcile(cluster)
    cluster.tables["securitypolicies"].cache.clear()

    await remove_security_policy("team", "p", tools(cluster))

    assert cluster.names == []


async def test_a_policy_on_its_way_out_is_left_alone() -> None:
    cluster = Cluster()
    body = policy_body(network=OPEN)
    body["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    cluster.have("securitypolicies", body)

    await reconcile(cluster)

    assert cluster.api.writes == []


async def test_the_clusters_policy_holds_where_agents_name_none() -> None:
    cluster = Cluster(DEFAULT)
    cluster.have("securitypolicies", policy_body("base", namespace="sys", network=OPEN))
    for name, namespace, spec in (
        ("a", "team", {}),
        ("b", "team", {"securityPolicyRef": {"name": "p"}}),
        ("c", "other", {"securityPolicyRef": {"name": "p"}}),
    ):
        cluster.have("agents", agent_body(name, namespace=namespace, **spec))

    await reconcile(cluster, "sys", "base")

    assert namespaces_of_cluster_policy(cluster.view) == ["team"]
    written = [place for place in cluster.api.objects if place[0] == "networkpolicies"]
    assert sorted(written) == [
        ("networkpolicies", "sys", "ringfence-policy-base"),
        ("networkpolicies", "team", "ringfence-cluster-base"),
    ]
    assert cluster.api.objects["securitypolicies", "sys", "base"]["status"]["agents"] == 1


async def test_the_clusters_policy_closes_everywhere_when_it_is_deleted() -> None:
    cluster = Cluster(DEFAULT)
    cluster.have("securitypolicies", policy_body("base", namespace="sys", network=OPEN))
    cluster.have("agents", agent_body())
    await reconcile(cluster, "sys", "base")
    cluster.tables["securitypolicies"].cache.clear()

    await remove_security_policy("sys", "base", tools(cluster))

    assert cluster.names == []


def test_agents_that_name_the_policy_are_counted() -> None:
    cluster = Cluster()
    for name, policy in (("a", "p"), ("b", "q")):
        cluster.have("agents", agent_body(name, securityPolicyRef={"name": policy}))
    cluster.have("agents", agent_body("c", namespace="other", securityPolicyRef={"name": "p"}))

    assert policy_status(make_policy(), cluster.view, FOUND, Seen(), now=NOW).agents == 1


@pytest.mark.parametrize(
    ("network", "word", "told"),
    [
        ({}, "Current", ""),
        (OPEN, "Current", ""),
        ({"cidrs": [{"cidr": "0.0.0.0/0"}]}, "Current", ""),
        ({"cidrs": [{"cidr": "169.254.169.254/32"}]}, "Failed", "169.254.169.254/32"),
        ({"cidrs": [{"cidr": "8.8.8.0/24"}, {"cidr": "127.0.0.0/8"}]}, "Failed", "127.0.0.0/8"),
        ({"ingress": [{"from": [{"cidr": "fe80::/10"}]}]}, "Failed", "fe80::/10"),
    ],
)
def test_a_policy_that_names_only_reserved_addresses_is_told(network: Raw, word: str, told: str) -> None:
    found = policy_status(make_policy(network=network), Cluster().view, FOUND, Seen(), now=NOW)

    assert kstatus(1, found.to_body()) == word
    assert found.conditions[0].message.startswith(told or "what the policy opens is in force")
    assert [each.type for each in found.conditions] == (["Ready", "Stalled"] if told else ["Ready"])


def test_a_corrected_policy_is_in_force_again() -> None:
    cluster = Cluster()
    wrong = policy_status(
        make_policy(network={"cidrs": [{"cidr": "127.0.0.0/8"}]}), cluster.view, FOUND, Seen(), now=NOW
    )

    right = policy_status(make_policy().model_copy(update={"status": wrong}), cluster.view, FOUND, Seen(), now=NOW)

    assert kstatus(1, right.to_body()) == "Current"


async def test_a_policy_deleted_meanwhile_is_no_error() -> None:
    cluster = Cluster()
    cluster.have("securitypolicies", policy_body())
    del cluster.api.objects["securitypolicies", "team", "p"]

    assert await reconcile(cluster) is None


async def test_a_policy_costs_four_writes_and_none_after_that() -> None:
    cluster = Gated()
    cluster.have_policy()

    again = await cluster.reconcile()
    before = list(cluster.api.writes)
    cluster.gateway.acknowledge("g1", "g2")
    await cluster.reconcile()
    written = list(cluster.api.writes)
    for _ in range(3):
        await cluster.reconcile()

    assert again == SETTLE_SECONDS
    assert before == ["create services", "create networkpolicies", "create networkpolicies"]
    assert written == cluster.api.writes == [*before, "replace securitypolicies/status"]
    assert cluster.names == ["ringfence-gateway-p-00000", "ringfence-policy-p"]
    assert cluster.condition("Enforced") == ("True", "InForce")
    assert kstatus(1, cluster.status()) == "Current"


async def test_a_changed_name_costs_one_write_the_status() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    before = list(cluster.api.writes)

    cluster.change("securitypolicies", "p", network={"allowedDomains": [{"name": "b.io"}]})
    await cluster.settle()

    assert cluster.api.writes == [*before, "replace securitypolicies/status"]
    assert cluster.status()["observedGeneration"] == 2
    assert cluster.status()["gateway"]["replicas"] == [
        {"name": "g1", "generation": 2},
        {"name": "g2", "generation": 2},
    ]


async def test_a_further_port_costs_the_service_and_the_status() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    before = list(cluster.api.writes)

    cluster.change("securitypolicies", "p", network={"allowedDomains": [{"name": "a.io", "ports": [8443]}]})
    await cluster.settle()

    assert cluster.api.writes == [*before, "replace services", "replace securitypolicies/status"]


async def test_a_new_leader_of_a_settled_fleet_writes_nothing() -> None:
    cluster = Gated()
    for name in ("p", "q"):
        cluster.have_policy(name)
        await cluster.settle(name)
    before = list(cluster.api.writes)

    cluster.lead()
    for name in ("p", "q", "p", "q"):
        await cluster.reconcile(name)
    for service in cluster.services:
        await cluster.look_at(service)
    for name in cluster.names:
        await cluster.networks.restore("team" if "policy" in name else "ringfence-system", name)
    cluster.gateway.acknowledge("g1", "g2")
    for name in ("p", "q"):
        await cluster.reconcile(name)

    assert cluster.api.writes == before


async def test_what_is_on_its_way_is_told_only_when_it_takes_long() -> None:
    cluster = Gated()
    cluster.have_policy()

    first = await cluster.reconcile()
    quiet = cluster.api.writes.count("replace securitypolicies/status")
    cluster.wait(SETTLE_SECONDS)
    await cluster.reconcile()

    assert (first, quiet) == (SETTLE_SECONDS, 0)
    assert cluster.condition("Enforced") == ("False", "GatewayPending")
    assert "waiting for g1, g2" in cluster.status()["conditions"][0]["message"]


async def test_a_refused_policy_says_why_and_recovers() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.reconcile()
    cluster.gateway.refuse("g1", 0, "no such cluster")
    cluster.wait(SETTLE_SECONDS)
    await cluster.reconcile()
    refused = cluster.condition()

    cluster.gateway.acknowledge("g1", "g2")
    await cluster.reconcile()

    assert refused == ("False", "GatewayRefused")
    assert cluster.condition() == ("True", "InForce")


async def test_a_policy_without_names_is_in_force_without_a_replica() -> None:
    cluster = Gated()
    cluster.have_policy(**OPEN)

    await cluster.reconcile()

    assert cluster.condition() == ("True", "InForce")


async def test_too_many_ports_are_told_and_the_rest_is_open() -> None:
    cluster = Gated()
    cluster.have_policy(allowedDomains=[{"name": f"n{each}.io", "ports": [9000 + each]} for each in range(13)])

    await cluster.settle()

    assert cluster.condition() == ("False", "TooManyPorts")
    assert cluster.condition("Enforced") == ("False", "TooManyPorts")
    assert cluster.status()["conditions"][0]["message"].endswith("9012 stay closed")
    assert "ringfence-gateway-p-00000" in cluster.names


async def test_a_policy_that_found_no_port_set_gets_one_that_becomes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_operator.reconcile.blocks.BLOCKS", 1)
    cluster = Gated()
    cluster.have_policy("q")
    cluster.have_policy()
    await cluster.settle("q")
    again = await cluster.reconcile()
    told = cluster.condition()
    await cluster.delete("q")
    cluster.lose("services", "p-00000")
    await cluster.look_at()
    cluster.gateway.acknowledge("g1", "g2")

    await cluster.settle()

    assert (again, told) == (FULL_SECONDS, ("False", "NoPortSet"))
    assert cluster.condition() == ("True", "InForce")


async def test_names_without_a_gateway_are_refused() -> None:
    cluster = Cluster()
    cluster.have("securitypolicies", policy_body(network={"allowedDomains": [{"name": "a.io"}]}))

    await reconcile(cluster)

    conditions = cluster.api.objects["securitypolicies", "team", "p"]["status"]["conditions"]
    assert [(each["type"], each["reason"]) for each in conditions] == [
        ("Ready", "NoGateway"),
        ("Stalled", "NoGateway"),
    ]


async def test_names_that_agents_asked_for_cost_at_most_two_writes_a_minute() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    before = cluster.api.writes.count("replace securitypolicies/status")

    for _ in range(60):
        cluster.wait(1)
        cluster.gateway.see(0, "a.io")
        again = await cluster.reconcile()
        assert again is None or 0 < again <= SEEN_SECONDS

    assert cluster.api.writes.count("replace securitypolicies/status") - before == 2
    assert cluster.status()["observedDomains"][0]["name"] == "a.io"


async def test_a_replica_that_comes_and_goes_again_costs_no_write() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    before = list(cluster.api.writes)

    cluster.have_replica("g3")
    cluster.gateway.join("g3")
    cluster.gateway.acknowledge("g3")
    again = await cluster.reconcile()
    cluster.tables["gatewaypods"].cache.pop((SYSTEM, "g3"))
    cluster.gateway.leave("g3")
    cluster.wait(SEEN_SECONDS)
    await cluster.reconcile()

    assert again == SEEN_SECONDS
    assert cluster.api.writes == before


async def test_a_replica_that_stays_is_told_half_a_minute_later() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    cluster.have_replica("g3")
    cluster.gateway.join("g3")
    cluster.gateway.acknowledge("g3")

    await cluster.reconcile()
    cluster.wait(SEEN_SECONDS)
    await cluster.reconcile()

    assert [each["name"] for each in cluster.status()["gateway"]["replicas"]] == ["g1", "g2", "g3"]


async def test_a_replica_that_takes_anothers_place_costs_one_write_however_long_ago_the_last_one_was() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    cluster.wait(10 * SEEN_SECONDS)
    before = cluster.api.writes.count("replace securitypolicies/status")

    cluster.tables["gatewaypods"].cache.pop((SYSTEM, "g2"))
    cluster.gateway.leave("g2")
    await cluster.reconcile()
    cluster.have_replica("g3")
    cluster.gateway.join("g3")
    cluster.gateway.acknowledge("g3")
    await cluster.reconcile()
    cluster.wait(SEEN_SECONDS)
    await cluster.reconcile()

    assert [each["name"] for each in cluster.status()["gateway"]["replicas"]] == ["g1", "g3"]
    assert cluster.api.writes.count("replace securitypolicies/status") - before == 1


async def test_every_call_is_counted_once() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()

    for _ in range(7):
        cluster.gateway.see(0, "a.io", count=3)
        cluster.gateway.see(0, "b.io", verdict="denied")
        cluster.wait(SEEN_SECONDS)
        await cluster.reconcile()

    assert [(each["name"], each["count"]) for each in cluster.status()["observedDomains"]] == [("a.io", 21)]
    assert [(each["name"], each["count"]) for each in cluster.status()["deniedDomains"]] == [("b.io", 7)]


async def test_names_that_are_too_rare_for_the_status_leave_room_for_others() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    cluster.gateway.see(0, *(f"n{each}.io" for each in range(50)), count=9)
    await cluster.reconcile()
    cluster.gateway.see(0, *(f"junk{each}.io" for each in range(600)))
    cluster.wait(SEEN_SECONDS)
    await cluster.reconcile()

    cluster.gateway.see(0, "often.io", count=99)
    cluster.wait(SEEN_SECONDS)
    await cluster.reconcile()

    assert cluster.status()["observedDomains"][0]["name"] == "often.io"


async def test_a_deleted_policy_leaves_nothing_behind() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()
    await cluster.look_at()
    cluster.gateway.acknowledge("g1", "g2")
    await cluster.look_at()

    left = [place for place in cluster.api.objects if place[0] != "events"]
    assert (left, cluster.tools.told, cluster.tools.waiting, cluster.gateway.served) == ([], {}, {}, {})


async def test_a_policy_in_our_own_namespace_opens_no_pod_of_it() -> None:
    cluster = Gated()
    cluster.have_policy("own", namespace="ringfence-system", destinations=[{"podSelector": {}}])

    await cluster.reconcile("own", "ringfence-system")

    spec = cluster.api.objects["networkpolicies", "ringfence-system", "ringfence-policy-own"]["spec"]
    selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]}
    assert spec["egress"][0]["to"] == [{"podSelector": {}, "namespaceSelector": selector}]
