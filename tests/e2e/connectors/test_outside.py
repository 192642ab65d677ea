"""Back ends outside of the cluster: by the gateway, for sidecars alone."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from tests.backends.rabbitmq_server import PASSWORD, USER, VIRTUAL_HOST
from tests.e2e.connectors.backend import connector, until, using
from tests.e2e.connectors.callers import publishing
from tests.e2e.connectors.calls import PERMISSIONS, do, filled, queue_with_a_message, rabbitmq
from tests.e2e.connectors.outside import Place, rabbitmq_outside, snowflake_outside
from tests.e2e.installation import DEPLOYMENTS, LEASE, OPERATOR, Installation, holder_of, is_rolled_out
from tests.e2e.kube import address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import AgentHandle, World

PROXY = 3128


@pytest.fixture
def cluster() -> Cluster:
    """The cluster that the outside is part of."""
    found = find_cluster(cluster_name())
    if found is None:
        pytest.fail("the outside is part of the development cluster: run make up", pytrace=False)
    return found


def credential(world: World, place: Place, password: str) -> str:
    """Create a Secret with a password and the place's authority; return its name."""
    made = world.named("Secret", "outside", stringData={"password": password, "ca.crt": place.authority})
    return str(made["metadata"]["name"])


def endpoint(place: Place, **fields: Any) -> dict[str, Any]:
    return {"name": "main", "host": place.host, "port": place.port, **fields}


def gateway_of(world: World, name: str) -> str:
    """Return the address of the connector's port set on the gateway."""
    found = world.kube.get(address("Connector", world.namespace, name))
    assert found is not None
    return str(found["status"]["gateway"]["address"])


def policies_of(world: World, name: str) -> list[tuple[str, str]]:
    """Return UID and version of the NetworkPolicies that open the connector's way out, at both of its ends."""
    found = world.kube.get(address("Connector", world.namespace, name))
    assert found is not None
    ends = {
        world.namespace: f"ringfence-connector-{name}",
        SYSTEM_NAMESPACE: f"ringfence-gateway-{found['status']['gateway']['service']}",
    }
    bodies = [world.kube.get(address("NetworkPolicy", *end)) for end in ends.items()]
    return [(each["metadata"]["uid"], each["metadata"]["resourceVersion"]) for each in bodies if each]


def connect(agent: AgentHandle, proxy: str, target: str, credential: str = "") -> str:
    """Return the first line that a proxy answers to CONNECT, or what went wrong."""
    shown = f"Proxy-Authorization: Basic {base64.b64encode(credential.encode()).decode()}\r\n" if credential else ""
    said = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{shown}\r\n".encode().hex()
    answer = agent.pod.script("say", proxy, PROXY, [said], container="agent")
    try:
        return bytes.fromhex(answer).split(b"\r\n")[0].decode()
    except ValueError:
        return str(answer)


def test_a_warehouse_outside_is_reached_by_the_sidecar_and_not_by_its_agent(
    alone: World, cluster: Cluster, tmp_path: Path
) -> None:
    with snowflake_outside(cluster, tmp_path) as place:
        auth = {"secretName": credential(alone, place, "a"), "password": {"user": "A"}, "authority": "ca.crt"}
        backend = {
            "endpoints": [endpoint(place, account="TEST", warehouse="SMALL")],
            "auth": auth,
            "database": f"D_{alone.tag}".upper(),
            "permissions": PERMISSIONS,
        }
        name = connector(alone, {"snowflake": backend}, "sales")
        agent = using(alone, name)
        agent.until_ready()
        until(alone, "Connector", name, "EndpointsHealthy")
        filled(agent, name)
        target = f"{place.host}:{place.port}"
        proxy = gateway_of(alone, name)

        answered = do(agent, name, "query", {"sql": "SELECT COUNT(*) AS n FROM orders"})
        knocked = [connect(agent, proxy, target, guess) for guess in ("", "sidecar:guess", f"{name}:{name}")]
        direct = agent.pod.script("say", place.address, place.port, ["16"], container="agent")

    assert answered["data"]["rows"] == [[3]]
    assert {each.split(" ")[1] for each in knocked} == {"407"}, knocked
    assert direct in {"ConnectionRefusedError", "TimeoutError", "OSError"}


def test_another_leader_takes_no_way_out_back(
    installed: Installation, alone: World, cluster: Cluster, tmp_path: Path
) -> None:
    with rabbitmq_outside(cluster, tmp_path) as place:
        auth = {"secretName": credential(alone, place, PASSWORD), "password": {"user": USER}, "authority": "ca.crt"}
        name = rabbitmq(alone, endpoints=[endpoint(place, virtualHost=VIRTUAL_HOST)], auth=auth)
        (caller,) = publishing(alone, name, 1, every=0.1)
        before, began = policies_of(alone, name), time.time()

        (leader,) = installed.leaders()
        leader.delete()
        leader.until_gone()
        alone.kube.until(LEASE, lambda it: holder_of(it) not in ("", leader.name))
        alone.kube.until(DEPLOYMENTS[OPERATOR], is_rolled_out)
        # The one that leads has looked at everything, and has told the gateway and the sidecar, when this is served.
        caller.until_served(since=time.time() + 5)
        after, calls = policies_of(alone, name), caller.calls(since=began)

    assert len(before) == 2
    assert after == before
    assert [call for call in calls if call.has_failed] == []


def test_a_broker_outside_is_reached_by_the_sidecar(alone: World, cluster: Cluster, tmp_path: Path) -> None:
    with rabbitmq_outside(cluster, tmp_path) as place:
        auth = {"secretName": credential(alone, place, PASSWORD), "password": {"user": USER}, "authority": "ca.crt"}
        verbs = ["Publish", "Declare", "Receive"]
        backend = {
            "endpoints": [endpoint(place, virtualHost=VIRTUAL_HOST)],
            "auth": auth,
            "permissions": {"queues": [{"pattern": f"t-{alone.tag}*", "verbs": verbs}]},
        }
        name = connector(alone, {"rabbitmq": backend}, "events")
        agent = using(alone, name)
        agent.until_ready()
        until(alone, "Connector", name, "EndpointsHealthy")

        queue = queue_with_a_message(alone, agent, name)
        received = do(agent, name, "receive", {"queue": queue, "waitSeconds": 10})
        direct = agent.pod.script("say", place.address, place.port, ["16"], container="agent")

    assert [each["payload"] for each in received["data"]["messages"]] == [{"n": 1}]
    assert direct in {"ConnectionRefusedError", "TimeoutError", "OSError"}
