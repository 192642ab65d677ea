"""Services of the cluster that a policy names: they resolve and are open, and nothing else of the cluster is."""

import json
from typing import Any

from tests.e2e.doors import LISTENING, SERVING
from tests.e2e.kube import address
from tests.e2e.world import AgentHandle, World, condition

LOOK_UP = (
    "import json, socket, sys\n"
    "def found(name):\n"
    "    try: return socket.gethostbyname(name)\n"
    "    except OSError as error: return type(error).__name__\n"
    "print(json.dumps({name: found(name) for name in sys.argv[1:]}))"
)
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('open')"
ADMIT = {"ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 8080}]}]}


def serving(world: World, name: str, *, namespace: str = "") -> AgentHandle:
    """Return an agent with a Service of its name on port 8080, which admits everybody."""
    policy = world.policy(f"{name}-in", namespace=namespace, network=ADMIT)
    agent = world.agent(
        name,
        namespace=namespace,
        command=LISTENING,
        probes=SERVING,
        ports=[{"name": "http", "port": 8080}],
        securityPolicyRef={"name": policy},
    )
    agent.until_ready()
    return agent


def looked_up(agent: AgentHandle, *names: str) -> dict[str, Any]:
    return dict(json.loads(agent.pod.output("python3", "-c", LOOK_UP, *names, seconds=60)))


def address_of_service(world: World, agent: AgentHandle) -> str:
    found = world.kube.get(address("Service", agent.namespace, agent.name))
    assert found is not None
    return str(found["spec"]["clusterIP"])


def test_a_named_service_resolves_in_every_form_and_is_open(world: World) -> None:
    elsewhere = world.new_namespace("services")
    near, far, hidden = serving(world, "near"), serving(world, "far", namespace=elsewhere), serving(world, "hidden")
    services = [{"service": {"name": near.name}}, {"service": {"name": far.name, "namespace": elsewhere}}]
    policy = world.policy(network={"destinations": services})
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    own = [near.name, *(f"{near.name}.{near.namespace}{end}" for end in ("", ".svc", ".svc.cluster.local"))]
    other = [f"{far.name}.{elsewhere}{end}" for end in ("", ".svc", ".svc.cluster.local")]
    shut = [far.name, f"{hidden.name}.{hidden.namespace}.svc", "kubernetes.default.svc.cluster.local"]
    found = looked_up(agent, *own, *other, *shut)

    at = address_of_service(world, near), address_of_service(world, far)
    assert found == {**dict.fromkeys(own, at[0]), **dict.fromkeys(other, at[1]), **dict.fromkeys(shut, "gaierror")}
    for name in (near.name, other[2]):
        assert agent.pod.output("python3", "-c", CONNECT, name, "8080") == "open\n"
    assert agent.pod.exec("python3", "-c", CONNECT, address_of_service(world, hidden), "8080").code != 0


def test_a_service_that_is_not_there_is_told_and_opens_once_it_is(world: World) -> None:
    name = f"late-{world.tag}"
    policy = world.policy(network={"destinations": [{"service": {"name": name}}]})
    path = address("SecurityPolicy", world.namespace, policy)

    told = world.kube.until(path, lambda it: _reason(it) == "ServiceNotFound", seconds=30)
    serving(world, "late")
    ready = world.kube.until(path, lambda it: _reason(it) == "InForce", seconds=30)

    assert name in (condition(told, "Ready") or {})["message"]
    assert ready is not None


def _reason(body: Any) -> str:
    found = condition(body, "Ready")
    return str(found["reason"]) if found else ""
