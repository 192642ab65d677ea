"""`policy suggest`: an allowlist from what was seen."""

from typing import Any

import pytest
import yaml

from ringfence_cli.suggest import suggest
from ringfence_kube.objects import Raw
from tests.cli.cluster import Cluster


def seen(name: str, port: int, count: int = 1) -> Raw:
    return {"name": name, "port": port, "count": count, "lastSeen": "2026-11-29T12:00:00Z"}


def policy(*observed: Raw, others: int = 0, **network: Any) -> Raw:
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": "surveyor", "namespace": "lab", "resourceVersion": "7"},
        "spec": {"maxExecutionTime": "1h", "network": {"mode": "Audit", **network}},
        "status": {"observedDomains": list(observed), "observedOthers": others},
    }


def named(found: Raw, **options: bool) -> dict[str, list[int] | None]:
    allowed = suggest(found, **options).policy(found)["spec"]["network"]["allowedDomains"]
    return {each["name"]: each.get("ports") for each in allowed}


def test_names_that_were_reached_are_allowed_on_the_ports_that_they_were_reached_on() -> None:
    found = policy(
        seen("web.example", 443), seen("web.example", 53), seen("odd.example", 8443), seen("odd.example", 443)
    )

    assert named(found) == {"odd.example": [443, 8443], "web.example": None}


def test_a_name_that_was_only_looked_up_is_allowed_on_the_usual_ports() -> None:
    (name,) = suggest(policy(seen("api.example", 53))).names

    assert (name.ports, name.why) == ((), "looked up only")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (seen("db.data.svc.cluster.local", 53), "name its Service under destinations"),
        (seen("localhost", 53), "name its Service under destinations"),
        (seen("203.0.113.9", 443), "open it under cidrs"),
        (seen("git.example", 22), "nobody says a name on that port"),
        (seen("mail.example", 587), "nobody says a name on that port"),
        (seen("db.example", 3306), "nobody says a name on that port"),
        (seen("chat.example", 5222), "nobody says a name on that port"),
    ],
)
def test_what_a_list_cannot_hold_is_left_out_with_the_reason(row: Raw, words: str) -> None:
    found = suggest(policy(row))

    assert found.names == ()
    assert any(words in note for note in found.notes)


def test_what_the_policy_allows_already_is_kept_with_its_ports() -> None:
    given = [{"name": "old.example", "ports": [8080]}, {"name": "web.example"}]
    found = policy(seen("web.example", 8443), allowedDomains=given)

    assert named(found) == {"old.example": [8080], "web.example": [80, 443, 8443]}
    assert named(found, only_seen=True) == {"web.example": [8443]}


def test_a_port_of_its_own_stays_the_only_one() -> None:
    assert named(policy(seen("a.example", 443), allowedDomains=[{"name": "b.example", "ports": [443]}])) == {
        "a.example": None,
        "b.example": [443],
    }


def test_a_name_that_is_allowed_on_one_port_alone_gets_no_other_by_being_reached_there() -> None:
    given = [{"name": "a.example", "ports": [443]}]

    assert named(policy(seen("a.example", 443), allowedDomains=given)) == {"a.example": [443]}


def test_a_name_that_a_wildcard_covers_is_not_written_again() -> None:
    found = policy(seen("a.b.example", 443), seen("a.b.example", 9443), allowedDomains=[{"name": "*.example"}])

    assert named(found) == {"*.example": None, "a.b.example": [443, 9443]}
    assert named(policy(seen("a.example", 443), allowedDomains=[{"name": "*.example"}])) == {"*.example": None}


def test_a_blocked_name_is_not_suggested() -> None:
    found = suggest(policy(seen("bad.example", 443), blockedDomains=[{"name": "*.example"}]))

    assert found.names == ()
    assert "stays refused" in found.notes[0]


def test_what_the_status_had_no_room_for_is_told() -> None:
    assert any("the list is not whole" in note for note in suggest(policy(seen("a.example", 443), others=9)).notes)


def test_the_rest_of_the_policy_stays_as_it_is() -> None:
    found = policy(seen("a.example", 443), cidrs=[{"cidr": "203.0.113.0/24"}])

    made = suggest(found).policy(found)

    assert made["metadata"] == {"name": "surveyor", "namespace": "lab"}
    assert made["spec"]["maxExecutionTime"] == "1h"
    assert made["spec"]["network"]["cidrs"] == [{"cidr": "203.0.113.0/24"}]
    assert made["spec"]["network"]["mode"] == "Enforce"
    assert "status" not in made


def put(cluster: Cluster, agent: str = "walker") -> None:
    found = policy(seen("web.example", 443))
    cluster.add("securitypolicies", "surveyor", found["spec"], found["status"])
    cluster.add("agents", agent, {"image": "x", "securityPolicyRef": {"name": "surveyor"}})


@pytest.mark.parametrize("word", ["surveyor", "policy/surveyor", "walker", "agent/walker"])
def test_the_policy_is_named_or_an_agent_under_it(cluster: Cluster, word: str) -> None:
    put(cluster)

    result = cluster.run("policy", "suggest", word)

    assert yaml.safe_load(result.stdout)["spec"]["network"]["allowedDomains"] == [{"name": "web.example"}]


def test_an_agent_that_is_named_like_its_policy_stands_for_it(cluster: Cluster) -> None:
    put(cluster, agent="surveyor")

    assert cluster.run("policy", "suggest", "surveyor").exit_code == 0


def test_a_name_that_could_be_either_is_asked_about(cluster: Cluster) -> None:
    put(cluster)
    cluster.add("agents", "surveyor", {"image": "x", "securityPolicyRef": {"name": "other"}})

    result = cluster.run("policy", "suggest", "surveyor")

    assert "write agent/surveyor or policy/surveyor" in str(result.exception)


def test_a_table_is_there_to_look_at(cluster: Cluster) -> None:
    put(cluster)

    lines = cluster.run("policy", "suggest", "surveyor", "-o", "table").stdout.splitlines()

    assert lines[1].split() == ["web.example", "80,", "443", "1", "2026-11-29T12:00:00Z", "reached"]
