"""Calls of an agent to its sidecar, and the back ends that stand in the cluster."""

import json
from typing import Any

from tests.e2e.connectors.backend import connector, until
from tests.e2e.kube import Body, address
from tests.e2e.world import AgentHandle, World

BACKENDS = "ringfence-backends"
BROKER_PASSWORD = "demo-broker"
API, MCP = "http://127.0.0.1:8811/v1", "http://127.0.0.1:8811/mcp"
REVISION = "2026-07-28"
ABOUT = "io.modelcontextprotocol/"
PERMISSIONS = {
    "statements": ["Select", "Insert", "CreateTable"],
    "tables": ["*.PUBLIC.*"],
    "writableTables": ["*.PUBLIC.*"],
}


def secret(world: World, name: str, value: str) -> str:
    """Create a Secret with a password and return its name."""
    made = world.named("Secret", name, type="Opaque", stringData={"password": value})
    return str(made["metadata"]["name"])


def snowflake(world: World, **fields: Any) -> str:
    """Create a Connector to the stand-in for Snowflake, with a database of the test's own; return its name."""
    endpoint = {
        "name": "main",
        "account": "TEST",
        "warehouse": "SMALL",
        "service": {"name": "snowflake", "namespace": BACKENDS, "port": 8080},
        "tls": False,
    }
    backend = {
        "endpoints": [endpoint],
        "auth": {"secretName": secret(world, "warehouse", "a"), "password": {"user": "ANALYST"}},
        "database": f"D_{world.tag}".upper(),
        "permissions": PERMISSIONS,
        "cache": {"ttl": "5m"},
        **fields,
    }
    return connector(world, {"snowflake": backend}, "sales")


def rabbitmq(world: World, **fields: Any) -> str:
    """Create a Connector to the broker of the cluster, for queues of the test's own; return its name."""
    mine = f"t-{world.tag}"
    backend = {
        "endpoints": [
            {"name": "main", "service": {"name": "rabbitmq", "namespace": BACKENDS, "port": 5672}, "tls": False}
        ],
        "auth": {"secretName": secret(world, "broker", BROKER_PASSWORD), "password": {"user": "agents"}},
        "permissions": {
            "queues": [{"pattern": f"{mine}*", "verbs": ["Publish", "Declare", "Receive", "Inspect"]}],
        },
        **fields,
    }
    return connector(world, {"rabbitmq": backend}, "events")


def ask(agent: AgentHandle, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return status and answer of a request of the agent's to its sidecar's REST."""
    code, _, text = agent.pod.script("call", f"{API}/{path}", body, headers, container="agent", seconds=90)
    return int(code), json.loads(text) if text.startswith(("{", "[")) else {"text": text}


def do(agent: AgentHandle, name: str, operation: str, arguments: Body, **headers: str) -> dict[str, Any]:
    """Return the envelope of a call, however it ended: a problem document calls its status `outcome`."""
    answer = ask(agent, f"connectors/{name}/{operation}", arguments, **headers)[1]
    return {**answer, "status": answer.get("outcome", answer.get("status"))}


def ask_by_mcp(agent: AgentHandle, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope of a call of a tool, however it ended."""
    about = {f"{ABOUT}protocolVersion": REVISION, f"{ABOUT}clientCapabilities": {}}
    params = {"name": tool, "arguments": arguments, "_meta": about}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": REVISION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    _, _, text = agent.pod.script("call", MCP, body, headers, container="agent", seconds=90)
    found: dict[str, Any] = json.loads(text)["result"]["structuredContent"]
    return found


def filled(agent: AgentHandle, name: str) -> None:
    """Make a table with three rows, once the sidecars reach the warehouse: many that start at once take a while."""
    until(agent, "Connector", name, "EndpointsHealthy")
    for sql in ("CREATE TABLE orders (id NUMBER)", "INSERT INTO orders VALUES (1), (2), (3)"):
        done = do(agent, name, "execute", {"sql": sql})
        assert done["status"] == "ok", done


def queue_with_a_message(world: World, agent: AgentHandle, name: str) -> str:
    """Declare a queue, put one message into it, and return the queue's name."""
    queue = f"t-{world.tag}-{len(name)}"
    declared = do(agent, name, "declare", {"queue": {"name": queue}})
    assert declared["status"] == "ok", declared
    sent = do(agent, name, "publish", {"messages": [{"exchange": "", "routingKey": queue, "payload": {"n": 1}}]})
    assert sent["status"] == "ok", sent
    return queue


def address_of_service(world: World, name: str, namespace: str = BACKENDS) -> str:
    """Return the address of a Service."""
    found = world.kube.get(address("Service", namespace, name))
    assert found is not None
    return str(found["spec"]["clusterIP"])
