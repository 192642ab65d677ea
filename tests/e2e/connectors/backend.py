"""A backend inside the cluster that takes connections and says nothing, and connectors that lead to it."""

from typing import Any

from tests.e2e.doors import LISTENING
from tests.e2e.kube import Body, address
from tests.e2e.world import AgentHandle, World, condition

SECRET = {"password": "c2VjcmV0"}
"""Of each connector: `secret` in base64."""


def secret(world: World, name: str = "credential") -> str:
    """Create a Secret and return its name."""
    return str(world.named("Secret", name, type="Opaque", data=SECRET)["metadata"]["name"])


def backend(world: World) -> Body:
    """Return a Service, and a pod behind it that listens on port 8080 without speaking AMQP."""
    labels = {"app": f"backend-{world.tag}"}
    world.pod("backend", labels=labels, command=LISTENING, readinessProbe={"tcpSocket": {"port": 8080}})
    ports = [{"name": "amqp", "port": 5672, "targetPort": 8080}]
    return world.named("Service", "backend", spec={"selector": labels, "ports": ports})


def rabbitmq(service: str, credential: str, **fields: Any) -> Body:
    """Return the spec of a backend behind a Service of the test's namespace, without TLS."""
    endpoint = {"name": "main", "service": {"name": service, "port": 5672}, "tls": False}
    auth = {"secretName": credential, "password": {"user": "agents"}}
    return {"rabbitmq": {"endpoints": [endpoint], "auth": auth, **fields}}


def connector(world: World, spec: Body, name: str = "mq", *, selector: Body | None = None) -> str:
    """Create a Connector and return its name."""
    made = world.named("Connector", name, api="ringfence.dev/v1alpha1", spec={"agentSelector": selector or {}, **spec})
    return str(made["metadata"]["name"])


def usual(world: World) -> str:
    """Create a Connector to a backend, with its Secret, and return its name."""
    return connector(world, rabbitmq(backend(world)["metadata"]["name"], secret(world)))


def using(world: World, *names: str, agent: str = "agent", **fields: Any) -> AgentHandle:
    """Create an Agent with these connectors."""
    return world.agent(agent, connectors=[{"name": name} for name in names], **fields)


def reason(body: Body | None, kind: str = "Ready") -> tuple[str, str] | None:
    """Return status and reason of a condition."""
    found = condition(body, kind)
    return (found["status"], found["reason"]) if found else None


def until(world: World | AgentHandle, kind: str, name: str, *expected: str, seconds: float = 120) -> Body:
    """Return the object of the same namespace once its Ready condition has one of these reasons."""

    def holds(found: Body | None) -> bool:
        said = reason(found)
        return said is not None and said[1] in expected

    found = world.kube.until(address(kind, world.namespace, name), holds, seconds=seconds)
    assert found is not None
    return found


def until_told(world: World, uid: str, told: str, *, seconds: float = 20) -> None:
    """Return once there is an Event with this reason about the object: it follows the status that it tells of."""
    world.until_event(uid, lambda event: bool(event["reason"] == told), seconds=seconds)
