"""From the seat of an agent that wants more than it was given: each door is there, and each stays shut."""

import json

from tests.e2e.connectors.amqp import HELLO, TUNE, knock, method_of, start_ok
from tests.e2e.connectors.backend import backend, connector, until, using
from tests.e2e.connectors.backend import rabbitmq as silent
from tests.e2e.connectors.calls import (
    BROKER_PASSWORD,
    address_of_service,
    ask,
    do,
    filled,
    queue_with_a_message,
    rabbitmq,
    secret,
    snowflake,
)
from tests.e2e.kube import address
from tests.e2e.world import SCRIPTS, World

SYSTEM = "ringfence-system"
PLACES = ["/var/run", "/run", "/etc", "/tmp", "/dev/shm", "/home", "/workspace"]
"""Where a file might be that was meant for the sidecar."""


def test_redis_is_in_reach_and_says_nothing_without_the_namespaces_password(world: World) -> None:
    agent = using(world, snowflake(world))
    agent.until_ready()
    redis = address_of_service(world, "redis")

    tried = {
        said: knock(agent, redis, 6379, said + b"\r\n")
        for said in (b"PING", b"AUTH guess", b"AUTH demo-broker", b"AUTH rf-" + world.namespace.encode() + b" x")
    }

    for answer in tried.values():
        assert isinstance(answer, bytes)
        assert answer.startswith((b"-NOAUTH", b"-WRONGPASS")), tried


def test_the_broker_lets_nobody_in_without_the_password(world: World) -> None:
    agent = using(world, rabbitmq(world))
    agent.until_ready()
    broker = address_of_service(world, "rabbitmq")

    admitted = knock(agent, broker, 5672, HELLO, start_ok("agents", BROKER_PASSWORD))
    refused = [knock(agent, broker, 5672, HELLO, start_ok(*who)) for who in (("agents", "guess"), ("guest", "guest"))]

    assert method_of(admitted) == TUNE
    assert [method_of(each) == TUNE for each in refused] == [False, False]


def test_the_control_server_tells_nothing_without_the_sidecars_token(world: World) -> None:
    agent = using(world, snowflake(world))
    agent.until_ready()
    control = address_of_service(world, "ringfence-sidecar-control", SYSTEM)
    url = f"https://{control}:18443/v1/sidecar/poll"

    # Only the leader's serves: the other replica refuses the connection.
    answers = [
        agent.pod.script("call", url, {}, headers, container="agent")
        for _ in range(6)
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {FORGED}"})
    ]

    codes = {code for code, _, _ in answers}
    assert 401 in codes
    assert codes <= {0, 401, 403, 429, 503}
    assert not [text for _, _, text in answers if "connectors" in text]


FORGED = (
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJhdWQiOlsicmluZ2ZlbmNlLWNvbnRyb2wiXSwiZXhwIjo0MTAyNDQ0ODAwfQ.c2lnbmF0dXJl"
)
"""A token for the right audience that nobody signed."""


def test_another_agents_handles_and_values_are_unknown(world: World) -> None:
    name = rabbitmq(world)
    one, other = (using(world, name, agent=agent) for agent in ("one", "other"))
    for agent in (one, other):
        agent.until_ready()
    until(world, "Connector", name, "EndpointsHealthy")
    queue = queue_with_a_message(world, one, name)
    received = do(one, name, "receive", {"queue": queue, "waitSeconds": 5})
    handle = received["data"]["messages"][0]["handle"]
    ask(one, "cache/secret", {"value": "mine"}, method="PUT")

    stolen = do(other, name, "ack", {"handles": [handle]})
    read = ask(other, "cache/secret")
    kept = do(one, name, "ack", {"handles": [handle]})

    assert stolen["status"] != "ok"
    assert read[0] == 404
    assert kept["status"] == "ok"


def test_a_page_of_another_agents_answer_is_unknown(world: World) -> None:
    name = snowflake(world)
    one, other = (using(world, name, agent=agent) for agent in ("one", "other"))
    for agent in (one, other):
        agent.until_ready()
    filled(one, name)
    first = do(one, name, "query", {"sql": "SELECT id FROM orders ORDER BY id", "limit": 1, "paged": True})
    handle = {"handle": first["metadata"]["details"]["page"]["handle"]}

    stolen = do(other, name, "query", handle)
    kept = do(one, name, "query", handle)

    assert stolen["status"] == "notFound"
    assert "rows" not in (stolen.get("data") or {})
    assert kept["data"]["rows"][0] == [2]


def test_the_agents_container_reads_neither_environment_nor_memory_nor_files_of_its_sidecars_processes(
    world: World,
) -> None:
    password = f"not-for-agents-{world.tag}"
    name = connector(world, silent(backend(world)["metadata"]["name"], secret(world, "marked", password)))
    agent = using(world, name)
    agent.until_ready()
    # By then its sidecar has read the password, and has it in its memory.
    until(world, "Connector", name, "EndpointsUnhealthy")
    source = (SCRIPTS / "pry.py").read_text()
    look = ["-c", source, json.dumps(password), json.dumps(PLACES)]

    seen = json.loads(agent.pod.output("python3", *look, container="agent", seconds=60))
    own = json.loads(agent.pod.output("/app/bin/python", *look, container="sidecar", seconds=60))

    assert seen["found"] == []
    assert not [each for each in seen["processes"] if "ringfence_sidecar" in each]
    assert f"/var/run/ringfence/connectors/{name}/password" in own["found"], "else, nothing above says anything"


def test_a_page_in_the_agents_browser_cannot_speak_for_it(world: World) -> None:
    name = snowflake(world)
    agent = using(world, name)
    agent.until_ready()
    until(world, "Connector", name, "EndpointsHealthy")
    call = f"connectors/{name}/query"
    question = {"sql": "SELECT 1"}

    own = ask(agent, call, question)
    foreign = [
        ask(agent, call, question, Origin="https://evil.example"),
        ask(agent, call, question, Host="evil.example:8811"),
    ]
    as_a_form = ask(agent, call, question, **{"Content-Type": "text/plain"})

    assert own[0] == 200
    assert [code for code, _ in foreign] == [403, 403]
    assert as_a_form[0] == 415


def test_a_secret_of_a_connectors_cannot_be_mounted_by_another_agent(world: World) -> None:
    name = snowflake(world)
    found = world.kube.get(address("Connector", world.namespace, name))
    assert found is not None
    credential = found["spec"]["snowflake"]["auth"]["secretName"]

    thief = world.agent("thief", envFrom=[{"secretRef": {"name": credential}}])

    thief.until_reason("SecretReserved")
    assert world.kube.get(thief.pod.path) is None
