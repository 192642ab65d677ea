"""What an agent's pod has where it names connectors, and what its container finds of it: nothing."""

import json
from typing import Any

from tests.e2e.connectors.backend import (
    backend,
    connector,
    rabbitmq,
    reason,
    secret,
    until,
    until_told,
    using,
    usual,
)
from tests.e2e.kube import Body, address
from tests.e2e.world import World, message_of

LOOK = (
    "import json, os, pathlib, sys\n"
    "def seen(root):\n"
    "    found = []\n"
    "    for place, _, files in os.walk(root, onerror=lambda _: None):\n"
    "        found += [os.path.join(place, each) for each in files]\n"
    "    return found\n"
    "mounts = pathlib.Path('/proc/self/mounts').read_text()\n"
    "processes = [each for each in os.listdir('/proc') if each.isdigit()]\n"
    "def line(pid):\n"
    "    try: return pathlib.Path('/proc', pid, 'cmdline').read_text()\n"
    "    except OSError: return ''\n"
    "print(json.dumps({'secrets': seen('/var/run/ringfence') + seen('/var/run/secrets'), 'mounts': mounts,\n"
    "    'processes': [line(each) for each in processes],\n"
    "    'env': {key: value for key, value in os.environ.items() if 'RINGFENCE' in key}}))"
)
ASK = (
    "import json, os, sys, urllib.request\n"
    "url = os.environ['RINGFENCE_API_URL'] + '/connectors'\n"
    "request = urllib.request.Request(url, headers={'Accept': 'application/json'})\n"
    "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
    "print(opener.open(request, timeout=5).read().decode())"
)


def volumes_of(pod: Body) -> set[str]:
    return {each["name"] for each in pod["spec"]["volumes"]}


def test_an_agent_with_a_connector_has_a_sidecar_that_is_up_before_it_and_serves_it(world: World) -> None:
    name = usual(world)
    agent = using(world, name)

    agent.until_ready()

    pod = agent.pod.get()
    (sidecar,) = pod["spec"]["initContainers"]
    (status,) = pod["status"]["initContainerStatuses"]
    started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    listed = json.loads(agent.pod.output("python3", "-c", ASK, container="agent"))
    assert (sidecar["name"], sidecar["restartPolicy"], status["ready"]) == ("sidecar", "Always", True)
    assert status["state"]["running"]["startedAt"] <= started
    assert volumes_of(pod) >= {"sidecar-token", "sidecar-authority", "connector-0"}
    assert name in json.dumps(listed)


def test_an_agent_without_connectors_has_none(world: World) -> None:
    agent = world.agent()

    agent.until_ready()

    pod = agent.pod.get()
    assert "initContainers" not in pod["spec"]
    assert not [each for each in volumes_of(pod) if each.startswith(("sidecar", "connector"))]


def test_the_agents_container_finds_no_secret_no_token_and_no_process_of_the_sidecars(world: World) -> None:
    agent = using(world, usual(world))
    agent.until_ready()

    found: dict[str, Any] = json.loads(agent.pod.output("python3", "-c", LOOK, container="agent"))

    assert found["secrets"] == []
    assert "/var/run/ringfence" not in found["mounts"]
    assert not [each for each in found["processes"] if "ringfence_sidecar" in each]
    assert found["env"] == {
        "RINGFENCE_API_URL": "http://127.0.0.1:8811/v1",
        "RINGFENCE_MCP_URL": "http://127.0.0.1:8811/mcp",
    }


def test_what_the_sidecar_has_is_readable_by_it_alone(world: World) -> None:
    agent = using(world, usual(world))
    agent.until_ready()

    read = agent.pod.output(
        "/app/bin/python",
        "-c",
        "import os, pathlib; print(os.getuid()); root = pathlib.Path('/var/run/ringfence')\n"
        "print(sorted(p.name for p in root.rglob('*') if p.is_file() and not p.parent.name.startswith('..')))",
        container="sidecar",
    ).splitlines()

    assert read == ["65533", "['ca.crt', 'password', 'token']"]


def test_a_connector_tells_how_the_sidecars_find_its_backend(world: World) -> None:
    name = usual(world)
    agent = using(world, name)
    agent.until_ready()

    found = until(world, "Connector", name, "EndpointsUnhealthy")

    (endpoint,) = found["status"]["endpoints"]
    assert found["status"]["agents"] == 1
    assert found["status"]["healthyEndpoints"] == "0/1"
    assert (endpoint["healthy"], endpoint["unhealthy"]) == (0, 1)
    assert endpoint["reason"]
    until_told(world, found["metadata"]["uid"], "EndpointsUnhealthy")


def test_a_secret_that_does_not_exist_is_told_by_the_agent_that_waits_for_it_and_by_its_connector(world: World) -> None:
    name = connector(world, rabbitmq(backend(world)["metadata"]["name"], f"missing-{world.tag}"))
    agent = using(world, name)

    waiting = agent.until_reason("ConfigNotFound")
    told = until(world, "Connector", name, "SecretNotFound", seconds=120)
    world.named("Secret", "missing", type="Opaque", data={"password": "eA=="})

    assert f"missing-{world.tag}" in str(waiting["status"]["conditions"])
    assert f"Secret missing-{world.tag} does not exist" in message_of(told)
    assert "create it with password" in message_of(told)
    agent.until_ready(seconds=180)
    until(world, "Connector", name, "EndpointsUnhealthy")


def test_an_agent_waits_for_its_connector_and_goes_on_without_it(world: World) -> None:
    spec = rabbitmq(backend(world)["metadata"]["name"], secret(world))
    agent = using(world, f"late-{world.tag}")
    agent.until_reason("ConnectorNotFound")

    name = connector(world, spec, "late")
    agent.until_ready()
    world.kube.delete(address("Connector", world.namespace, name))
    agent.until_reason("ConnectorNotFound")

    labels = world.kube.until(
        agent.pod.path, lambda it: f"connector.ringfence.dev/{name}" not in (it or {})["metadata"]["labels"]
    )
    assert labels is not None
    assert labels["status"]["phase"] == "Running"


def test_an_agent_that_the_selector_does_not_match_is_refused_until_it_does(world: World) -> None:
    spec = rabbitmq(backend(world)["metadata"]["name"], secret(world))
    name = connector(world, spec, selector={"matchLabels": {"tier": "gold"}})
    agent = using(world, name)
    agent.until_reason("ConnectorNotPermitted")

    world.kube.merge(agent.path, {"metadata": {"labels": {"tier": "gold"}}})

    agent.until_ready()


def test_a_running_agent_is_stopped_when_a_connector_with_a_secret_of_its_appears(world: World) -> None:
    credential = secret(world)
    agent = world.agent(envFrom=[{"secretRef": {"name": credential}}])
    agent.until_ready()

    connector(world, rabbitmq(backend(world)["metadata"]["name"], credential))

    refused = agent.until_reason("SecretReserved")
    agent.pod.until_gone()
    assert credential in str(refused["status"]["conditions"])
    assert reason(refused, "Stalled") == ("True", "SecretReserved")


def test_another_secret_leaves_the_pod_alone_until_a_field_rolls_it_out(world: World) -> None:
    name = usual(world)
    agent = using(world, name)
    before = agent.until_ready()
    other = secret(world, "other")
    auth = {"secretName": other}

    world.kube.merge(address("Connector", world.namespace, name), {"spec": {"rabbitmq": {"auth": auth}}})
    outdated = agent.until(lambda it: reason(it, "SidecarOutdated"))
    agent.change(sidecar={"update": "Immediately"})

    after = agent.until_pod_replaced(before)
    mounted = [each["secret"]["secretName"] for each in agent.pod.get()["spec"]["volumes"] if "secret" in each]
    assert outdated["status"]["podUID"] == before["status"]["podUID"]
    assert reason(outdated, "SidecarOutdated") == ("True", "SidecarOutdated")
    assert reason(after, "SidecarOutdated") is None
    assert mounted == [other]
