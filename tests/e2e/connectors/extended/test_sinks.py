"""Traces and audit lines on their way out of the pod, and an agent that would write some of its own."""

import json
import secrets

from tests.e2e.connectors.amqp import HELLO, TUNE, knock, method_of, start_ok
from tests.e2e.connectors.backend import using
from tests.e2e.connectors.calls import address_of_service, ask, do, filled, snowflake
from tests.e2e.connectors.extended.sinks import PORT, PYTHON, TOKEN, WRITER, Sinks
from tests.e2e.world import AgentHandle, World

QUESTION = {"sql": "SELECT COUNT(*) AS n FROM orders"}


def ready(world: World) -> tuple[str, AgentHandle]:
    """Return a Connector with a table, and an agent that uses it."""
    name = snowflake(world)
    agent = using(world, name)
    agent.until_ready()
    filled(agent, name)
    return name, agent


def post(agent: AgentHandle, sinks: Sinks, path: str, body: object, **headers: str) -> int:
    """Return how the collector answers the agent's own container."""
    url = f"http://{sinks.address}:{PORT}{path}"
    return int(agent.pod.script("call", url, body, headers, container="agent")[0])


def test_a_calls_spans_and_its_audit_line_arrive_at_the_collector(alone: World, sinks: Sinks) -> None:
    name, agent = ready(alone)
    trace = secrets.token_hex(16)

    done = do(agent, name, "query", QUESTION, traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")
    found = sinks.collected(
        lambda its: (
            any("line" in each and trace in each["line"] for each in its)
            and sum(each.get("traceId") == trace for each in its) > 1
        )
    )

    spans = {each["span"]: each for each in found if each.get("traceId") == trace}
    (line,) = [json.loads(each["line"]) for each in found if "line" in each and trace in each["line"]]
    whole = spans[f"{name} query"]
    assert done["status"] == "ok"
    assert (whole["k8s.namespace.name"], whole["ringfence.agent"]) == (alone.namespace, agent.name)
    assert whole["k8s.pod.name"] == agent.pod.name
    assert (line["connector"], line["operation"], line["outcome"]) == (name, "query", "ok")
    assert line["requestId"] == done["metadata"]["requestId"]


def test_an_agents_own_container_writes_nothing_to_the_collector_and_reads_nothing_there(
    alone: World, sinks: Sinks
) -> None:
    name, agent = ready(alone)
    forged = f"forged-{secrets.token_hex(8)}"
    record = {"body": {"stringValue": forged}}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}

    without = [post(agent, sinks, path, logs) for path in ("/v1/logs", "/v1/traces")]
    guessed = post(agent, sinks, "/v1/logs", logs, Authorization="Bearer guess")
    read = [post(agent, sinks, path, None, method="GET") for path in ("/", "/v1/logs", "/v1/traces")]
    own = do(agent, name, "query", QUESTION)["metadata"]["requestId"]
    found = sinks.collected(lambda its: any(own in each.get("line", "") for each in its))

    assert (without, guessed) == ([401, 401], 401)
    assert set(read) == {501}, "the collector has nothing to read"
    assert forged not in json.dumps(found)
    assert TOKEN not in json.dumps(agent.pod.get())


def test_audit_lines_in_a_stream_outlive_the_pod_and_are_verified(alone: World, sinks: Sinks) -> None:
    name, agent = ready(alone)
    do(agent, name, "query", QUESTION)
    do(agent, name, "execute", {"sql": "DELETE FROM orders"})
    broker, file = address_of_service(alone, "rabbitmq"), f"/tmp/{agent.name}"

    agent.delete()
    agent.pod.until_gone()
    lines = sinks.chain(broker, agent.pod.name, file)

    calls = [(each["operation"], each["outcome"]) for each in lines if each["event"] == "call"]
    verify = [PYTHON, "-m", "ringfence_sidecar.audit", "verify", "--complete"]
    whole = sinks.pod.exec(*verify, file)
    sinks.pod.output("sh", "-c", f"sed 's/refused/ok/' {file} > {file}.edited; sed 3d {file} > {file}.shorter")
    edited, shorter = (sinks.pod.exec(*verify, f"{file}.{how}") for how in ("edited", "shorter"))
    assert calls == [("execute", "ok"), ("execute", "ok"), ("query", "ok"), ("execute", "refused")]
    assert (whole.code, edited.code, shorter.code) == (0, 1, 1), (whole, edited, shorter)


def test_an_agents_own_container_cannot_log_in_to_the_streams_broker(alone: World, sinks: Sinks) -> None:
    _, agent = ready(alone)
    broker = address_of_service(alone, "rabbitmq")

    admitted = knock(agent, broker, 5672, HELLO, start_ok(*WRITER))
    refused = [knock(agent, broker, 5672, HELLO, start_ok(WRITER[0], guess)) for guess in ("guess", "")]

    assert method_of(admitted) == TUNE, "else, nothing below says anything"
    assert [method_of(each) == TUNE for each in refused] == [False, False]
    assert WRITER[1] not in json.dumps(agent.pod.get())
    assert ask(agent, "connectors")[0] == 200
