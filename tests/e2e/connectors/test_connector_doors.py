"""Doors that the sidecar goes through, with the agent's own container knocking: it shares the sidecar's network."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from ringfence_operator.egress.derived import Derived
from tests.e2e.connectors.backend import connector, secret, using
from tests.e2e.kube import Body, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import AgentHandle, World

KNOCK = (
    "import json, socket, ssl, sys\n"
    "how = json.loads(sys.argv[1])\n"
    "context = ssl.create_default_context()\n"
    "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
    "def head(stream, text):\n"
    "    stream.sendall(text.encode())\n"
    "    return stream.recv(65536).decode(errors='replace')\n"
    "try:\n"
    "    stream = socket.create_connection((how['host'], how['port']), 5)\n"
    "    said = head(stream, how['first']) if 'first' in how else ''\n"
    "    if 'sni' in how and (not said or ' 200 ' in said.splitlines()[0]):\n"
    "        said = head(context.wrap_socket(stream, server_hostname=how['sni']), how['then'])\n"
    "    print(json.dumps(said))\n"
    "except OSError as error:\n"
    "    print(json.dumps(type(error).__name__))\n"
)
CLOSED = {"TimeoutError", "ConnectionRefusedError"}
"""What a NetworkPolicy makes of a connection, dropped or refused."""
GET = "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"


def knock(agent: AgentHandle, host: str, port: int, **how: Any) -> str:
    """Return what the agent's container is answered, or the error's name."""
    said = agent.pod.output("python3", "-c", KNOCK, json.dumps({"host": host, "port": port, **how}), container="agent")
    return str(json.loads(said))


def status_of(said: str) -> str:
    return said.split(" ")[1] if said.startswith("HTTP/1.1 ") else said


@dataclass(frozen=True, slots=True)
class Way:
    """A connector's port set, as its Service has it."""

    address: str
    ports: dict[str, int]
    first_port: int

    @classmethod
    def of(cls, world: World, name: str) -> "Way":
        def is_its(each: Body) -> bool:
            marks = each["metadata"].get("labels", {})
            return (marks.get("ringfence.dev/connector-namespace"), marks.get("ringfence.dev/connector")) == (
                world.namespace,
                name,
            )

        (found,) = [each for each in world.kube.items(address("Service", SYSTEM_NAMESPACE)) if is_its(each)]
        ports = {each["name"]: each["port"] for each in found["spec"]["ports"]}
        return cls(found["spec"]["clusterIP"], ports, 10_000 + 16 * int(found["metadata"]["name"][2:]))


def warehouse(world: World) -> str:
    endpoint = {"name": "main", "host": "api.test", "account": "ACME", "warehouse": "W"}
    auth = {"secretName": secret(world, "token"), "programmaticAccessToken": {"user": "AGENTS", "token": "password"}}
    spec = {"endpoints": [endpoint], "storageHosts": ["*.wild.test"], "auth": auth, "database": "D", "schema": "S"}
    return connector(world, {"snowflake": spec}, "snow")


def credential(world: World, name: str) -> str:
    """Return what the connector's sidecars show, which nobody but the operator can make."""
    kept = world.kube.get(address("Secret", SYSTEM_NAMESPACE, "ringfence-authority"))
    made = world.kube.get(address("Connector", world.namespace, name))
    assert kept is not None
    assert made is not None
    derived = Derived()
    derived.know(base64.b64decode(kept["data"]["seed"]).decode())
    pair = derived.proxy(made["metadata"]["uid"])
    assert pair is not None
    return "Basic " + base64.b64encode(":".join(pair).encode()).decode()


def connecting(place: str, shown: str = "") -> str:
    more = f"Proxy-Authorization: {shown}\r\n" if shown else ""
    return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{more}\r\n"


def test_a_connectors_proxy_wants_a_credential_that_the_agents_container_does_not_have(world: World) -> None:
    name = warehouse(world)
    agent = using(world, name)
    agent.until_ready()
    other = world.agent("other")
    other.until_ready()
    way = Way.of(world, name)
    shown = credential(world, name)

    without = [knock(agent, way.address, 3128, first=connecting("api.test:443", each)) for each in ("", "Basic eDp5")]
    good = knock(agent, way.address, 3128, first=connecting("api.test:443", shown), sni="api.test", then=GET)
    elsewhere = knock(agent, way.address, 3128, first=connecting("files.test:443", shown))
    from_other = knock(other, way.address, 3128, first=connecting("api.test:443", shown))

    assert [status_of(each) for each in without] == ["407", "407"]
    assert status_of(good) == "200", "else, nothing above says anything"
    assert status_of(elsewhere) == "403"
    assert from_other in CLOSED


def test_what_judges_tunnels_is_open_to_nobody_outside_the_gateways_pod(world: World) -> None:
    name = warehouse(world)
    agent = using(world, name)
    agent.until_ready()
    way = Way.of(world, name)
    pods = world.kube.items(address("Pod", SYSTEM_NAMESPACE), labelSelector="app.kubernetes.io/name=ringfence-gateway")

    said = [
        knock(agent, pod["status"]["podIP"], way.first_port + 2, sni="api.test", then=GET)
        for pod in pods
        if "podIP" in pod["status"]
    ]

    assert set(said) == {"ConnectionRefusedError"}


def test_a_brokers_listener_leads_to_that_broker_alone_and_only_from_pods_with_the_connector(world: World) -> None:
    endpoint = {"name": "main", "host": "files.test", "port": 8443}
    auth = {"secretName": secret(world), "password": {"user": "agents"}}
    name = connector(world, {"rabbitmq": {"endpoints": [endpoint], "auth": auth}}, "mq")
    agent = using(world, name)
    agent.until_ready()
    other = world.agent("other")
    other.until_ready()
    way = Way.of(world, name)
    ((port_name, port),) = way.ports.items()

    by_name = [knock(agent, way.address, port, sni=sni, then=GET) for sni in ("files.test", "api.test")]
    from_other = knock(other, way.address, port, sni="files.test", then=GET)

    assert port_name.startswith("t-")
    assert all('"port": 8443' in each or "8443" in each for each in by_name), by_name
    assert from_other in CLOSED


def test_the_control_server_tells_an_agents_container_nothing(world: World) -> None:
    agent = using(world, warehouse(world))
    agent.until_ready()
    other = world.agent("other")
    other.until_ready()
    service = world.kube.get(address("Service", SYSTEM_NAMESPACE, "ringfence-sidecar-control"))
    assert service is not None
    place = (service["spec"]["clusterIP"], 18_443)
    uid = agent.pod.get()["metadata"]["uid"]

    said = [
        _served(agent, place, f"POST /v1/sidecar/poll HTTP/1.1\r\n{shown}Content-Length: 2\r\n\r\n{{}}")
        for shown in ("", "Authorization: Bearer x.y.z\r\n", f"Authorization: Bearer {_forged(uid)}\r\n")
    ]
    from_other = knock(other, *place, sni="ringfence-control", then=GET)

    assert [status_of(each) for each in said] == ["401", "401", "401"]
    assert from_other in CLOSED


def _served(agent: AgentHandle, place: tuple[str, int], request: str) -> str:
    """Return the answer; only the leader's replica serves, so a refused connection is tried again."""
    for _ in range(20):
        said = knock(agent, *place, sni="ringfence-control", then=request)
        if said != "ConnectionRefusedError":
            return said
    return "ConnectionRefusedError"


def _forged(uid: str) -> str:
    claims = {"aud": ["ringfence-control"], "nbf": 0, "exp": 9_999_999_999, "kubernetes.io": {"pod": {"uid": uid}}}
    parts = ({"alg": "RS256"}, claims)
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts), "x"]
    )
