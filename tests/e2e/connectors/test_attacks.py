"""From the seat of an agent that wants more than it was given: each door is there, and each stays shut."""

import struct

from tests.e2e.connectors.backend import until, using
from tests.e2e.connectors.calls import (
    BROKER_PASSWORD,
    address_of_service,
    ask,
    do,
    queue_with_a_message,
    rabbitmq,
    snowflake,
)
from tests.e2e.kube import address
from tests.e2e.world import AgentHandle, World

SYSTEM = "ringfence-system"
HELLO = b"AMQP\x00\x00\x09\x01"
TUNE = (10, 30)
"""Class and method of what a broker says to whom it lets in (AMQP 0-9-1)."""


def knock(agent: AgentHandle, host: str, port: int, *said: bytes) -> bytes | str:
    """Return what the address answered to the agent's container, or the name of what went wrong."""
    answer = agent.pod.script("say", host, port, [each.hex() for each in said], container="agent")
    try:
        return bytes.fromhex(answer)
    except ValueError:
        return str(answer)


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


def start_ok(user: str, password: str) -> bytes:
    """Return the frame by which a client logs in."""
    response = f"\0{user}\0{password}".encode()
    body = struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(response)) + response + b"\x05en_US"
    return struct.pack(">BHI", 1, 0, len(body)) + body + b"\xce"


def method_of(answer: bytes | str) -> tuple[int, int] | None:
    """Return class and method of a frame."""
    if not isinstance(answer, bytes) or len(answer) < 11 or answer[0] != 1:
        return None
    found: tuple[int, int] = struct.unpack(">HH", answer[7:11])
    return found


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


def test_a_page_in_the_agents_browser_cannot_speak_for_it(world: World) -> None:
    name = snowflake(world)
    agent = using(world, name)
    agent.until_ready()
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
