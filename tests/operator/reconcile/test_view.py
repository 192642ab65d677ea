from typing import Any

import pytest

from ringfence_operator.settings import Settings
from tests.operator.reconcile.contexts import running_pod
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import agent_body, make_agent, make_policy, node_body, pod_body, policy_body

Raw = dict[str, Any]
DEFAULT = Settings(default_policy="sys/base")
KEPT: Raw = {"workspace": {"claimName": "kept"}}
LACKING: Raw = {"handlers": []}


def test_the_policy_that_an_agent_names_wins_over_the_clusters() -> None:
    view = view_of(DEFAULT, securitypolicies=[policy_body("base", namespace="sys"), policy_body()])

    named, missing = view.policy_of(make_agent(securityPolicyRef={"name": "p"}))
    unnamed, _ = view.policy_of(make_agent())

    assert (named and named.key, unnamed and unnamed.key, missing) == (("team", "p"), ("sys", "base"), None)


def test_a_policy_that_is_missing_is_named() -> None:
    assert view_of().policy_of(make_agent(securityPolicyRef={"name": "p"})) == (None, "p")
    assert view_of(DEFAULT).policy_of(make_agent()) == (None, "sys/base")
    assert view_of().policy_of(make_agent()) == (None, None)


def test_the_clusters_policy_is_the_one_of_the_setting() -> None:
    assert view_of(DEFAULT).is_cluster_policy(make_policy("base", namespace="sys"))
    assert not view_of(DEFAULT).is_cluster_policy(make_policy("base"))


@pytest.mark.parametrize(
    ("nodes", "selector", "expected"),
    [
        ([], {}, False),
        ([node_body()], {}, True),
        ([node_body(), node_body("n2", **LACKING)], {}, False),
        ([node_body(labels={"pool": "a"}), node_body("n2", **LACKING)], {"pool": "a"}, True),
        ([node_body(), node_body("n2", labels={"pool": "a"}, **LACKING)], {"pool": "a"}, False),
    ],
)
def test_user_namespaces_are_used_if_every_node_that_the_agent_may_run_on_has_them(
    nodes: list[Raw], selector: dict[str, str], expected: bool
) -> None:
    found = view_of(nodes=nodes).surroundings(make_agent(nodeSelector=selector))

    assert found.has_user_namespaces is expected


def sharing(name: str, *, created: str = "2026-11-23T11:00:00Z", **spec: Any) -> Raw:
    body = agent_body(name, **KEPT, **spec)
    body["metadata"]["creationTimestamp"] = created
    return body


@pytest.mark.parametrize(
    ("other", "pod", "expected"),
    [
        (sharing("b"), None, ["b"]),
        (sharing("b", created="2026-11-23T13:00:00Z"), None, []),
        (sharing("b", created="2026-11-23T13:00:00Z"), running_pod(name="b"), ["b"]),
        (sharing("b", suspend=True), None, []),
        (sharing("b", suspend=True), running_pod(name="b", deleted="2026-11-23T11:59:59Z"), ["b"]),
        (sharing("b"), pod_body("b", phase="Failed"), ["b"]),
        (sharing("b", suspend=True), pod_body("b", phase="Succeeded"), []),
        (agent_body("b", workspace={"size": "1Gi"}), None, []),
    ],
)
def test_a_claim_is_left_to_whoever_has_a_pod_on_it_or_else_to_the_oldest(
    other: Raw, pod: Raw | None, expected: list[str]
) -> None:
    view = view_of(agents=[agent_body(**KEPT), other], pods=[pod] if pod else [])

    assert sorted(view.rivals(make_agent(**KEPT))) == expected


def test_addresses_of_nodes_pods_services_and_api_server_are_reserved_with_those_of_the_settings() -> None:
    meta = {"name": "kubernetes", "uid": "u", "resourceVersion": "1"}
    view = view_of(
        Settings(reserved_cidrs=("192.0.2.0/24",)),
        nodes=[node_body()],
        servicecidrs=[{"metadata": meta, "spec": {"cidrs": ["10.96.0.0/16"]}}],
        endpointslices=[{"metadata": meta | {"namespace": "default"}, "endpoints": [{"addresses": ["203.0.113.9"]}]}],
    )

    expected = {"10.201.0.2/32", "10.244.0.0/24", "10.96.0.0/16", "203.0.113.9/32", "192.0.2.0/24"}
    assert expected <= set(view.reserved())
