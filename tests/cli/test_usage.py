"""`get` and `top`: how near agents are to their limits."""

import json

import pytest
import yaml

from ringfence_cli.usage import of_agent, tightest, uses
from tests.cli.cluster import Cluster, condition

QUERIES = {"resource": "queries", "window": "Hour", "scope": "Shared", "max": "20"}
MEMORY = {"resource": "memory", "max": "1Gi"}


def add_quota(cluster: Cluster, name: str = "analysis", **spec: object) -> None:
    status = {
        "agents": 2,
        "conditions": [condition("Ready", "True", "Enforced")],
        "limits": [
            {**QUERIES, "used": "16", "remaining": "4", "percent": 80, "refusals": 3},
            {
                **MEMORY,
                "window": "None",
                "scope": "PerAgent",
                "used": "512Mi",
                "percent": 50,
                "topAgents": [{"name": "analyst", "used": "512Mi"}, {"name": "clerk", "used": "256Mi"}],
            },
        ],
    }
    cluster.add(
        "quotas", name, {"selector": {"matchLabels": {"team": "x"}}, "limits": [QUERIES, MEMORY], **spec}, status
    )


def add_agent(cluster: Cluster, name: str, **labels: str) -> None:
    says = {"state": "Running", "restarts": 2, "conditions": [condition("Ready", "True", "Running")]}
    cluster.add("agents", name, {"image": "x"}, says, labels=labels)


def test_top_shows_the_limit_that_is_nearest_its_end_first(cluster: Cluster) -> None:
    add_quota(cluster)

    lines = cluster.run("top").output.splitlines()

    assert lines[0].split() == ["QUOTA", "LIMIT", "SCOPE", "USED", "MAX", "%", "FREE", "IN", "REFUSED", "MOST"]
    assert lines[1].split()[:7] == ["analysis", "queries", "per", "Hour", "Shared", "16", "20"]
    assert "████████░░" in lines[1]
    assert lines[2].endswith("analyst 512Mi, clerk 256Mi")


def test_top_gives_programs_figures(cluster: Cluster) -> None:
    add_quota(cluster)

    rows = json.loads(cluster.run("top", "analysis", "-o", "json").output)

    assert [(each["resource"], each["used"], each["percent"], each["refusals"]) for each in rows] == [
        ("queries", "16", 80, 3),
        ("memory", "512Mi", 50, 0),
    ]
    assert rows[1]["agents"][0] == {"name": "analyst", "used": "512Mi"}


def test_top_says_which_quota_there_is_not(cluster: Cluster) -> None:
    result = cluster.run("top", "nobody")

    assert "there is no Quota nobody" in str(result.exception)


def test_watching_is_for_people(cluster: Cluster) -> None:
    result = cluster.run("top", "--watch", "-o", "json")

    assert result.exit_code == 2
    assert "leave it out" in result.output


def test_a_limit_of_which_nothing_is_known_yet_is_shown_without_figures(cluster: Cluster) -> None:
    cluster.add("quotas", "fresh", {"limits": [QUERIES]})

    (use,) = uses(cluster.items("/apis/ringfence.dev/v1alpha1/quotas")[0])

    assert (use.limit, use.max, use.used, use.percent) == ("queries per Hour", "20", "", None)
    assert tightest([use]) is None


def test_an_agents_own_part_of_a_limit_is_told_as_far_as_the_status_names_it(cluster: Cluster) -> None:
    add_quota(cluster)
    (quota,) = cluster.items("/apis/ringfence.dev/v1alpha1/quotas")
    quota["metadata"]["namespace"] = "lab"

    shared, own = of_agent("clerk", quota)
    _, unknown = of_agent("somebody", quota)

    assert (shared.used, shared.percent) == ("16", 80)
    assert (own.used, own.percent) == ("256Mi", 25)
    assert (unknown.used, unknown.percent) == ("", None)


def test_get_tells_of_each_agent_how_near_it_is_to_a_limit(cluster: Cluster) -> None:
    add_quota(cluster)
    add_agent(cluster, "analyst", team="x")
    add_agent(cluster, "loner")

    lines = cluster.run("get", "agents").output.splitlines()

    assert lines[0].split() == ["AGENT", "STATE", "REASON", "RESTARTS", "POLICY", "NEAREST-LIMIT", "AGE"]
    assert "queries per Hour 16/20 (80%)" in lines[1]
    assert "%" not in lines[2]


def test_get_shows_all_kinds_that_there_are(cluster: Cluster) -> None:
    add_quota(cluster)
    add_agent(cluster, "analyst")
    cluster.add("securitypolicies", "open", {"network": {"mode": "Audit"}}, {"deniedOthers": 4})

    output = cluster.run("get", "-A").output

    heads = [line.split()[:2] for line in output.splitlines() if line.startswith("NAMESPACE")]
    assert heads == [["NAMESPACE", "AGENT"], ["NAMESPACE", "QUOTA"], ["NAMESPACE", "POLICY"]]
    assert output.splitlines()[-1].split()[:6] == ["lab", "open", "Audit", "0", "0", "4"]


@pytest.mark.parametrize("word", ["agent", "agents", "rfagent"])
def test_get_gives_one_object_as_it_is(cluster: Cluster, word: str) -> None:
    add_agent(cluster, "analyst")
    cluster.items("/apis/ringfence.dev/v1alpha1/agents")[0]["metadata"]["managedFields"] = [{"manager": "x"}]

    found = yaml.safe_load(cluster.run("get", word, "analyst", "-o", "yaml").output)

    assert (found["kind"], found["metadata"]["name"]) == ("Agent", "analyst")
    assert "managedFields" not in found["metadata"]


def test_get_goes_on_where_quotas_may_not_be_seen(cluster: Cluster) -> None:
    add_agent(cluster, "analyst")
    cluster.forbidden = lambda _, path: path.endswith("/quotas")

    result = cluster.run("get", "agents")

    assert result.exit_code == 0
    assert "analyst" in result.stdout
    assert "without limits" in result.stderr


def test_get_says_which_kinds_there_are(cluster: Cluster) -> None:
    result = cluster.run("get", "pods")

    assert result.exit_code == 2
    assert "there is no kind pods: write agents, pools, connectors, quotas, policies or all" in result.output
