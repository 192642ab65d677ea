"""Names that agents asked for, as the policy's status tells them."""

from typing import Any

from tests.e2e.egress.test_changes import reached
from tests.e2e.kube import Body, address
from tests.e2e.world import World

LIST = {"allowedDomains": [{"name": "api.test"}]}


def names(body: Body | None, field: str) -> set[tuple[str, int]]:
    return {(each["name"], each["port"]) for each in (body or {}).get("status", {}).get(field, ())}


def seen(world: World, policy: str, **wanted: set[tuple[str, int]]) -> Body:
    """Return the policy once its status tells of at least these names."""
    path = address("SecurityPolicy", world.namespace, policy)
    found: Any = world.kube.until(
        path, lambda it: all(those <= names(it, field) for field, those in wanted.items()), seconds=90
    )
    return dict(found)


def test_enforce_tells_what_was_reached_and_what_was_refused(world: World) -> None:
    policy = world.policy(network=LIST)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    reached(agent, "api.test", "files.test")

    found = seen(world, policy, observedDomains={("api.test", 443)}, deniedDomains={("files.test", 53)})
    assert ("files.test", 443) not in names(found, "observedDomains")
    assert all(each["count"] > 0 and each["lastSeen"] for each in found["status"]["observedDomains"])


def test_audit_lets_through_and_tells_what_enforce_would_refuse(world: World) -> None:
    policy = world.policy(network={"mode": "Audit", **LIST})
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    answers = reached(agent, "api.test", "files.test")

    assert answers == {"api.test": "203.0.113.11", "files.test": "203.0.113.12"}
    wanted = {("api.test", 443), ("files.test", 443)}
    found = seen(world, policy, observedDomains=wanted, deniedDomains={("files.test", 443)})
    assert ("api.test", 443) not in names(found, "deniedDomains")


def test_a_list_written_from_what_was_seen_lets_the_same_through(world: World) -> None:
    policy = world.policy(network={"mode": "Audit"})
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    reached(agent, "api.test", "files.test")
    found = seen(world, policy, observedDomains={("api.test", 443), ("files.test", 443)})

    allowed = sorted({each["name"] for each in found["status"]["observedDomains"]})
    world.change_policy(policy, network={"mode": "Enforce", "allowedDomains": [{"name": name} for name in allowed]})
    seen_again = world.kube.until(
        address("SecurityPolicy", world.namespace, policy),
        lambda it: bool(it and [e["generation"] for e in it["status"]["gateway"].get("replicas", ())] == [2, 2]),
        seconds=30,
    )

    assert seen_again is not None
    answers = reached(agent, "api.test", "files.test", "web.example")
    assert answers == {"api.test": "203.0.113.11", "files.test": "203.0.113.12", "web.example": "gaierror"}
