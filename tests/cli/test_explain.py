"""`explain`: what an agent may do, and which object says so."""

import json
from typing import Any

from ringfence_kube.objects import Raw
from tests.cli.cluster import Cluster, condition

REFUSED = {
    "audit": 1,
    "event": "call",
    "time": "2026-11-29T12:01:00.000Z",
    "decision": "refused",
    "connector": "sales",
    "operation": "execute",
    "outcome": "error",
    "rule": "statements",
    "code": "NOT_PERMITTED",
    "durationMs": 1.2,
    "summary": "DELETE FROM orders",
}
NETWORK = {
    "allowedDomains": [{"name": "api.example"}, {"name": "*.data.example", "ports": [8443]}],
    "blockedDomains": [{"name": "bad.data.example"}],
    "destinations": [
        {"service": {"name": "db", "namespace": "data"}},
        {"podSelector": {"matchLabels": {"app": "x"}}, "namespaceSelector": {}, "ports": [{"port": 80, "endPort": 90}]},
    ],
    "cidrs": [{"cidr": "203.0.113.0/24", "except": ["203.0.113.8/32"], "ports": [{"port": 22}]}],
    "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}],
}


def put(cluster: Cluster, network: Raw | None = None, **spec: Any) -> Raw:
    """Put an agent into the cluster that has a policy, a quota and a connector, and a pod with a sidecar."""
    effective = [
        {"name": "cpu", "value": "1", "source": "Default"},
        {"name": "isolation", "value": "Container", "source": "Agent"},
        {"name": "memory", "value": "1Gi", "source": "Quota", "object": "everybody"},
        {"name": "readOnlyRoot", "value": "true", "source": "Isolation"},
        {"name": "maxExecutionTime", "value": "15m", "source": "SecurityPolicy"},
    ]
    says = {
        "state": "Running",
        "podName": "analyst",
        "conditions": [
            condition("Ready", "True", "Running", "running"),
            condition("SidecarOutdated", "True", "Old", "old"),
        ],
        "effective": effective,
    }
    wanted = {"image": "x", "securityPolicyRef": {"name": "work"}, "connectors": [{"name": "sales"}], **spec}
    agent = cluster.add("agents", "analyst", wanted, says, labels={"team": "analysis"})
    denied = [{"name": "web.example", "port": 443, "count": 3, "lastSeen": "2026-11-29T12:00:30Z"}]
    cluster.add("securitypolicies", "work", {"network": network or NETWORK}, {"agents": 2, "deniedDomains": denied})
    limit = {"resource": "rows", "window": "Day", "scope": "Shared", "max": "100k"}
    row = {**limit, "used": "90k", "percent": 90, "lastRefusal": {"agent": "analyst", "time": "2026-11-29T11:00:00Z"}}
    cluster.add("quotas", "everybody", {"selector": {}, "limits": [limit]}, {"limits": [row]})
    permissions = {"statements": ["Select", "Insert"], "tables": ["SALES.PUBLIC.*"]}
    connector = {"agentSelector": {"matchLabels": {"team": "analysis"}}, "snowflake": {"permissions": permissions}}
    healthy = {"healthyEndpoints": "1/1", "conditions": [condition("Ready", "True", "EndpointsHealthy")]}
    cluster.add("connectors", "sales", connector, healthy)
    pod = {"metadata": {"name": "analyst", "namespace": "lab", "labels": {}}}
    cluster.items("/api/v1/pods").append(pod)
    log = [b"started", json.dumps(REFUSED, separators=(",", ":")).encode(), b'{"audit":1,"cut off']
    cluster.logs["/api/v1/namespaces/lab/pods/analyst/log?container=sidecar"] = log
    return agent


def explained(cluster: Cluster) -> dict[str, Any]:
    result = cluster.run("explain", "analyst", "-o", "json")
    assert result.exit_code == 0, result.exception
    found: dict[str, Any] = json.loads(result.output)
    return found


def lines(found: dict[str, Any], section: str) -> list[tuple[str, str, str]]:
    return [(each["name"], each["value"], each["source"]) for each in found[section]]


def test_each_limit_comes_with_the_object_that_set_it(cluster: Cluster) -> None:
    put(cluster)

    assert lines(explained(cluster), "limits") == [
        ("cpu", "1", "the operator's defaults"),
        ("isolation", "Container", "Agent analyst"),
        ("memory", "1Gi", "Quota everybody"),
        ("readOnlyRoot", "true", "isolation Container"),
        ("maxExecutionTime", "15m", "SecurityPolicy work"),
    ]


def test_every_way_out_and_in_is_told(cluster: Cluster) -> None:
    put(cluster)

    assert [(name, value) for name, value, _ in lines(explained(cluster), "network")] == [
        ("name", "api.example on 80, 443"),
        ("name", "*.data.example on 8443"),
        ("never", "bad.data.example, whatever is allowed"),
        ("cluster", "Service db in data, by its name"),
        ("cluster", "pods app=x of all namespaces on 80-90/TCP"),
        ("addresses", "203.0.113.0/24 but 203.0.113.8/32 on 22/TCP"),
        ("may be reached", "by all pods of this namespace on 8080/TCP"),
    ]


def test_audit_is_told_as_the_open_door_that_it_is(cluster: Cluster) -> None:
    put(cluster, {"mode": "Audit"})

    (line,) = lines(explained(cluster), "network")
    denied = [value for _, value, _ in lines(explained(cluster), "denied_lately")]

    assert line[:2] == ("names", "every one, and what Enforce would refuse is told (mode: Audit)")
    assert "web.example:443 would be refused under Enforce, 3 times" in denied


def test_a_connector_comes_with_what_it_permits(cluster: Cluster) -> None:
    put(cluster)

    assert lines(explained(cluster), "connectors") == [
        ("sales", "statements Select, Insert", "Connector sales"),
        ("sales", "reads SALES.PUBLIC.*", "Connector sales"),
        ("sales", "EndpointsHealthy, endpoints 1/1", "Connector sales"),
    ]


def test_a_connector_whose_selector_does_not_match_gives_nothing(cluster: Cluster) -> None:
    agent = put(cluster)
    agent["metadata"]["labels"] = {"team": "sales"}

    assert "does not match the agent's labels" in lines(explained(cluster), "connectors")[0][1]


def test_what_was_denied_comes_from_audit_quotas_and_policy(cluster: Cluster) -> None:
    put(cluster)

    assert lines(explained(cluster), "denied_lately") == [
        ("2026-11-29T12:01:00.000Z", "sales.execute: DELETE FROM orders", "statements NOT_PERMITTED"),
        ("2026-11-29T11:00:00Z", "rows per Day: the limit of 100k was used up", "Quota everybody"),
        ("2026-11-29T12:00:30Z", "web.example:443 refused, 3 times", "SecurityPolicy work (its 2 agents together)"),
    ]


def test_conditions_that_are_not_as_they_should_be_are_worth_knowing(cluster: Cluster) -> None:
    put(cluster)

    assert lines(explained(cluster), "worth_knowing") == [("SidecarOutdated", "Old: old", "Agent analyst")]


def test_an_agent_without_a_policy_is_closed(cluster: Cluster) -> None:
    put(cluster, securityPolicyRef=None)

    assert lines(explained(cluster), "network") == [("nothing", "both ways are closed", "no SecurityPolicy")]


def test_the_clusters_default_policy_is_found_by_the_pods_label(cluster: Cluster) -> None:
    put(cluster, securityPolicyRef=None)
    cluster.items("/api/v1/pods")[0]["metadata"]["labels"] = {"ringfence.dev/cluster-policy": "work"}

    sources = {source for _, _, source in lines(explained(cluster), "network")}

    assert sources == {"SecurityPolicy work, the cluster's default"}


def test_a_policy_that_may_not_be_seen_is_not_taken_for_a_closed_door(cluster: Cluster) -> None:
    put(cluster)
    cluster.forbidden = lambda _, path: "securitypolicies" in path

    assert [line[0] for line in lines(explained(cluster), "network")] == ["unknown"]


def test_a_policy_that_does_not_exist_closes_both_ways(cluster: Cluster) -> None:
    put(cluster, securityPolicyRef={"name": "nowhere"})

    (line,) = lines(explained(cluster), "network")

    assert line == ("nothing", "both ways are closed: the policy does not exist", "SecurityPolicy nowhere")


def test_isolation_none_is_told_as_the_open_door_that_it_is(cluster: Cluster) -> None:
    agent = put(cluster)
    agent["status"]["effective"][1]["value"] = "None"

    assert [line[0] for line in lines(explained(cluster), "network")] == ["everything"]


def test_what_may_not_be_seen_is_said_and_the_rest_is_told(cluster: Cluster) -> None:
    put(cluster)
    cluster.forbidden = lambda _, path: path.endswith(("/log", "/quotas"))

    found = explained(cluster)

    assert len(found["unseen"]) == 2
    assert found["limits"]
    assert found["network"]


def test_people_get_sections(cluster: Cluster) -> None:
    put(cluster)

    output = cluster.run("explain", "analyst").output

    titles = [line for line in output.splitlines() if line and not line.startswith(" ")]
    assert titles == [
        "Agent lab/analyst: Running (Running: running)",
        "Limits",
        "Quotas",
        "Network",
        "Connectors",
        "Denied lately",
        "Worth knowing",
    ]
