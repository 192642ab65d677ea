"""A kind of connector that a third party's package adds to the sidecar's image, from the Connector to its backend."""

import json
import time
from pathlib import Path
from typing import Any

from tests.e2e.connectors.backend import connector, until, using
from tests.e2e.connectors.calls import ask, ask_by_mcp, do, secret
from tests.e2e.kube import Body, address
from tests.e2e.world import AgentHandle, World

SERVER = Path(__file__).parents[3] / "sidecar/plugin/server.py"
PASSWORD = "keys-and-values"
TOOLS = ("get", "put", "append", "watch", "break")


def backend(world: World) -> str:
    """Have the kind's own server in the cluster, and return its Service's name."""
    labels = {"app": f"kv-{world.tag}"}
    command = ["python3", "-c", SERVER.read_text(), "8080", PASSWORD]
    world.pod("kv", labels=labels, command=command, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1})
    service = world.named("Service", "kv", spec={"selector": labels, "ports": [{"port": 7000, "targetPort": 8080}]})
    return str(service["metadata"]["name"])


def keys_and_values(world: World, settings: Body, *, kind: str = "kv") -> str:
    """Create a Connector of the third party's kind, and return its name."""
    plugin = {
        "kind": kind,
        "settings": settings,
        "endpoints": [{"name": "main", "service": {"name": backend(world), "port": 7000}, "tls": False}],
        "auth": {"secretName": secret(world, "kv", PASSWORD), "password": {"user": "agents"}},
    }
    return connector(world, {"plugin": plugin}, "store")


def tools(agent: AgentHandle) -> set[str]:
    """Return the operations that the agent is told of."""
    listed: list[dict[str, Any]] = ask(agent, "connectors")[1]["connectors"]
    return {operation["name"] for each in listed for operation in each["operations"]}


def audited(agent: AgentHandle, name: str, count: int) -> list[tuple[str, str]]:
    """Return operation and outcome of each call to a connector, by the audit, once it has so many lines.

    A line goes to standard output when the collector and the stream have taken those before it.
    """
    deadline = time.monotonic() + 60
    while True:
        lines = [json.loads(line) for line in agent.kube.log(agent.pod.path, "sidecar").splitlines() if name in line]
        calls = [(each["operation"], each["outcome"]) for each in lines if each["event"] == "call"]
        if len(calls) >= count:
            return calls
        assert time.monotonic() < deadline, lines
        time.sleep(0.2)


def test_a_third_partys_kind_is_called_by_rest_and_by_mcp_and_each_call_is_audited(world: World) -> None:
    name = keys_and_values(world, {"prefix": "p-"})
    agent = using(world, name)
    agent.until_ready()
    until(world, "Connector", name, "EndpointsHealthy")

    put = do(agent, name, "put", {"key": "colour", "value": "blue"})
    got = ask_by_mcp(agent, f"{name}_get", {"key": "colour"})
    refused = do(agent, name, "get", {"key": "secret-of-bob"})

    assert tools(agent) == set(TOOLS)
    assert put["status"] == "ok"
    assert (got["status"], got["data"]) == ("ok", {"value": "blue"})
    assert (refused["status"], refused["errors"][0]["rule"]) == ("refused", "keys")
    assert audited(agent, name, 3) == [("put", "ok"), ("get", "ok"), ("get", "refused")]


def test_settings_that_the_packages_schema_refuses_are_told_and_corrected_in_the_pod_that_runs(world: World) -> None:
    name = keys_and_values(world, {"prefix": "much-longer-than-sixteen"})
    agent = using(world, name)
    before = agent.until_ready()

    told = until(world, "Connector", name, "EndpointsUnhealthy")
    refused = do(agent, name, "get", {"key": "colour"})
    corrected = {"spec": {"plugin": {"settings": {"prefix": "p-"}}}}
    world.kube.merge(address("Connector", world.namespace, name), corrected)
    until(world, "Connector", name, "EndpointsHealthy")
    served = do(agent, name, "get", {"key": "colour"})

    (endpoint,) = told["status"]["endpoints"]
    assert endpoint["reason"] == "InvalidSettings"
    assert endpoint["message"].startswith("settings.prefix: ")
    assert (refused["status"], refused["errors"][0]["code"]) == ("unavailable", "InvalidSettings")
    assert endpoint["message"] in refused["message"]
    assert served["status"] == "ok"
    assert agent.get()["status"]["podUID"] == before["status"]["podUID"]


def test_a_kind_that_no_package_brings_is_told_with_those_that_there_are(world: World) -> None:
    name = keys_and_values(world, {}, kind="ledger")
    agent = using(world, name)
    agent.until_ready()

    told = until(world, "Connector", name, "EndpointsUnhealthy")

    (endpoint,) = told["status"]["endpoints"]
    assert endpoint["reason"] == "UnknownKind"
    assert "kv, kv-shared, rabbitmq, snowflake" in endpoint["message"]
    assert do(agent, name, "get", {"key": "colour"})["errors"][0]["code"] == "UnknownKind"
