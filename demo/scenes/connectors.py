"""An agent asks a warehouse and a broker through its sidecar, by MCP, within what its Connectors permit."""

import json
import time
from typing import Any

from demo.errors import DemoError
from demo.stage import MANIFESTS, QUICKSTART, Stage

ANALYST, SALES, EVENTS = "analyst", "sales", "events"
BACKENDS = ("redis", "rabbitmq", "snowflake")
READY_SECONDS = 120.0
QUESTION = {"sql": "SELECT region, SUM(amount) AS total FROM orders GROUP BY region ORDER BY region"}
_ASKED_AGAIN = 5
_AUDIT_LINES = 20


def play(stage: Stage) -> None:
    """Ask twice, be refused a DELETE, send a message and receive it, and read the audit trail."""
    _backends(stage)
    stage.apply(QUICKSTART / "6-connectors.yaml")
    stage.wait("the analyst runs", lambda now: now[ANALYST].is_ready, seconds=READY_SECONDS)
    stage.kube.run("wait", "--for=condition=Ready", f"connector/{SALES}", f"connector/{EVENTS}", "--timeout=60s")
    stage.screen.say(stage.show("get", "connectors").rstrip())
    _warehouse(stage)
    _broker(stage)
    _audit(stage)


def _backends(stage: Stage) -> None:
    stage.apply(MANIFESTS / "backends.yaml")
    for name in BACKENDS:
        stage.kube.run(
            "rollout", "status", f"deployment/{name}", "--timeout=180s", namespace="ringfence-backends", seconds=200
        )


def _warehouse(stage: Stage) -> None:
    _tool(stage, f"{SALES}_execute", {"sql": "CREATE TABLE IF NOT EXISTS orders (region STRING, amount NUMBER)"})
    _tool(stage, f"{SALES}_execute", {"sql": "INSERT INTO orders VALUES ('east', 5), ('west', 7), ('east', 30)"})
    first = _tool(stage, f"{SALES}_query", QUESTION)
    stage.screen.say(json.dumps(first["data"]))
    stage.check(first["status"] == "ok" and not _is_hit(first), "the first time, the warehouse answers")
    again = _asked_again(stage)
    stage.check(_is_hit(again) and again["data"] == first["data"], "then the cache does")
    refused = _tool(stage, f"{SALES}_execute", {"sql": "DELETE FROM orders"})
    stage.screen.say(refused["message"])
    stage.check(refused["status"] == "refused", "a DELETE is refused, and the refusal says what is permitted")


def _asked_again(stage: Stage) -> dict[str, Any]:
    """Ask until the cache answers: while Redis falters on a busy node, what was kept is not trusted, rightly."""
    for _ in range(_ASKED_AGAIN):
        answer = _tool(stage, f"{SALES}_query", QUESTION)
        if _is_hit(answer):
            break
    return answer


def _is_hit(answer: dict[str, Any]) -> bool:
    return bool((answer["metadata"].get("cache") or {}).get("hit"))


def _broker(stage: Stage) -> None:
    message = {"exchange": "events", "routingKey": "orders.new", "payload": {"region": "east", "amount": 35}}
    sent = _tool(stage, f"{EVENTS}_publish", {"messages": [message]})
    stage.check(sent["status"] == "ok", "a message is published, and the broker confirms it")
    received = _tool(stage, f"{EVENTS}_receive", {"queue": "orders", "waitSeconds": 10})
    stage.screen.say(json.dumps(received["data"]))
    messages = received["data"]["messages"]
    stage.check(len(messages) == 1 and messages[0]["payload"] == message["payload"], "and received, on a lease")
    done = _tool(stage, f"{EVENTS}_ack", {"handles": [messages[0]["handle"]]})
    stage.check(done["status"] == "ok", "and acknowledged")


def _audit(stage: Stage) -> None:
    """Show the last lines, and have the chain of all of them checked."""
    lines = stage.show("logs", ANALYST, "--container=sidecar", f"--tail={_AUDIT_LINES}").rstrip()
    stage.screen.say(lines)
    stage.check(
        '"decision":"refused"' in lines or "refused" in lines, "every call has left a line, the refused one, too"
    )
    begun = time.monotonic()
    verify = "kubectl logs … | python -m ringfence_sidecar.audit verify -"
    stage.screen.command(verify)
    whole = stage.kube.run("logs", ANALYST, "--container=sidecar")
    program = ("/app/bin/python", "-m", "ringfence_sidecar.audit", "verify", "-")
    said = stage.kube.run("exec", "-i", ANALYST, "--container=sidecar", "--", *program, stdin=whole)
    stage.screen.say(said.rstrip())
    stage.check(True, f"and no line was changed or is missing ({time.monotonic() - begun:.1f} s)")


def _tool(stage: Stage, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    said = stage.show(
        "exec", ANALYST, "--container=agent", "--", "python3", "/app/tool.py", tool, json.dumps(arguments)
    )
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError as error:
        raise DemoError(f"{tool} answered no JSON: {said[:200]}") from error
    if "status" not in answer:
        raise DemoError(f"{tool}: {said[:500]}")
    return answer
