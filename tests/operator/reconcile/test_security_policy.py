from typing import Any

import pytest

from ringfence_operator.reconcile.gateway import Force, Seen, Standing
from ringfence_operator.reconcile.policy_status import Found, policy_status
from ringfence_operator.reconcile.security_policy import (
    PolicyTools,
    namespaces_of_cluster_policy,
    reconcile_security_policy,
    remove_security_policy,
)
from ringfence_operator.settings import Settings
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

    assert first == cluster.api.writes == ["create networkpolicies", "apply securitypolicies/status"]
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
