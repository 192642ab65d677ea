"""An agent runs into each kind of limit: Soft has it wait, Warn serves it and says so, Hard refuses it."""

import json
import time
from dataclasses import dataclass
from typing import Any

from demo.errors import DemoError
from demo.fleet import look
from demo.kubectl import Raw
from demo.stage import MANIFESTS, QUICKSTART, Stage

EAGER, ANALYST, SALES = "eager", "analyst", "sales"
CALL = ("exec", EAGER, "--container=agent", "--", "python3", "/app/call.py")
READY_SECONDS, COUNTED_SECONDS, TOLD_SECONDS = 90.0, 60.0, 60.0
QUERIES = 3
"""What the Quota lets the agent ask in an hour."""
ROWS = 2
"""Of each answer: as many as the Quota lets it have in a day without a word."""
LEAST_WAIT = 0.05
OK, TOO_MANY = 200, 429
NOT_COUNTED = "QuotaStoreUnavailable"
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sidecar answered: HTTP's status, how long that took, Retry-After, and the body."""

    http: int
    seconds: float
    retry_after: str | None
    said: Raw


def play(stage: Stage) -> None:
    """Call too often, read too much and ask too much, and see how the Quota and the agent itself tell of it."""
    before = look(stage.kube)[ANALYST].life
    stage.apply(QUICKSTART / "7-quota.yaml")
    stage.apply(MANIFESTS / "quota.yaml")
    fleet = stage.wait("the agent runs", lambda now: now[EAGER].is_ready, seconds=READY_SECONDS)
    stage.check(fleet[ANALYST].life == before, "the analyst is under a Quota now, and its pod is the same one")
    _until_counted(stage)
    _soft(stage)
    _warn(stage)
    _hard(stage)
    _told(stage)


def _until_counted(stage: Stage) -> None:
    """Counters that are new count as away until every sidecar can have spoken: ten seconds at most."""
    begun = time.monotonic()
    while _calls(stage.kube.run(*CALL, "1", "PUT", "/cache/note", '{"value": 1}'))[0].http != OK:
        if time.monotonic() - begun > COUNTED_SECONDS:
            raise DemoError(f"no call is served after {COUNTED_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _soft(stage: Stage) -> None:
    answers = _call(stage, "3", "PUT", "/cache/note", '{"value": 1}')
    heads = [("CALL", "HTTP", "SECONDS")]
    stage.screen.show(
        [*heads, *((str(number), str(each.http), f"{each.seconds:.2f}") for number, each in enumerate(answers, 1))]
    )
    longest = max(each.seconds for each in answers)
    waited = all(each.http == OK for each in answers) and longest >= LEAST_WAIT
    stage.check(waited, f"Soft: of three calls at once, the one too many waited {longest:.2f} s, and was served")


def _warn(stage: Stage) -> None:
    """Two rows a day are not to be passed without a word: the second question passes them."""
    warnings: list[Raw] = []
    for _ in range(2):
        answer = _ask(stage)
        warnings += [each for each in answer.said.get("warnings", []) if each.get("quota") == EAGER]
    for each in warnings:
        stage.screen.say(each["message"])
    told = answer.http == OK and any(each["resource"] == "rows" for each in warnings)
    stage.check(told, "Warn: all rows are served, and the answer's `warnings` say that the limit is passed")


def _hard(stage: Stage) -> None:
    """Two queries are used by now."""
    third, answer = _ask(stage), _ask(stage)
    said = {name: answer.said.get(name) for name in ("quota", "resource", "limit", "used", "window", "scope")}
    stage.screen.say(f"HTTP {answer.http}, Retry-After: {answer.retry_after}")
    stage.screen.say(json.dumps(said))
    stage.screen.say(str(answer.said.get("message")))
    wanted = {"quota": EAGER, "resource": "queries", "limit": QUERIES, "used": QUERIES}
    refused = answer.http == TOO_MANY and wanted.items() <= said.items() and int(answer.retry_after or 0) > 0
    passed = third.http == OK and refused
    stage.check(passed, "Hard: the fourth query of the hour is refused: 429 says which limit, and when to come back")


def _told(stage: Stage) -> None:
    """Wait for the Quota's status, which is written once in ten seconds at most, and ask the agent's own sidecar."""
    begun = time.monotonic()
    while (row := _row(stage)).get("refusals", 0) < 1:
        if time.monotonic() - begun > TOLD_SECONDS:
            raise DemoError(f"the Quota's status does not tell of the refusal after {TOLD_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    stage.screen.say(stage.show("get", "quota.ringfence.dev").rstrip())
    is_right = (row["used"], row["lastRefusal"]["agent"]) == (str(QUERIES), EAGER)
    seconds = time.monotonic() - begun
    stage.check(is_right, f"the Quota's status says what is used, and who was refused, {seconds:.0f} s later")
    [standing] = _call(stage, "1", "GET", "/quota")
    limits: list[Raw] = standing.said["limits"]
    names = ("quota", "resource", "used", "limit", "window", "enforcement")
    stage.screen.show([[name.upper() for name in names], *(_cells(each, names) for each in limits)])
    own = next((each["remaining"] for each in limits if (each["quota"], each["resource"]) == (EAGER, "queries")), None)
    stage.check(own == 0, "and the agent can look for itself, by its sidecar's /v1/quota")


def _row(stage: Stage) -> Raw:
    quota = stage.kube.get("quotas.ringfence.dev", EAGER) or {}
    rows: list[Raw] = quota.get("status", {}).get("limits", [])
    return next((each for each in rows if each["resource"] == "queries"), {})


def _cells(standing: Raw, names: tuple[str, ...]) -> list[str]:
    return [f"{value:g}" if isinstance(value := standing[name], float | int) else str(value) for name in names]


def _ask(stage: Stage) -> Answer:
    """Ask the warehouse something that was not asked before: what a cache answers is no query."""
    sql = f"SELECT region, amount FROM orders WHERE amount < {time.time_ns()} LIMIT {ROWS}"
    return _call(stage, "1", "POST", f"/connectors/{SALES}/query", json.dumps({"sql": sql, "limit": ROWS}))[0]


def _call(stage: Stage, *arguments: str) -> list[Answer]:
    """Call again while Redis is slower than it may be, as a client does: such a call is refused, and uses no limit."""
    begun = time.monotonic()
    while True:
        answers = _calls(stage.show(*CALL, *arguments))
        slow = [each for each in answers if each.said.get("code") == NOT_COUNTED]
        if not slow or time.monotonic() - begun > COUNTED_SECONDS:
            return answers
        stage.screen.say(f"HTTP {slow[0].http}: {slow[0].said.get('message')}")
        time.sleep(POLL_SECONDS)


def _calls(text: str) -> list[Answer]:
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [Answer(each["http"], each["seconds"], each["retryAfter"], each["said"]) for each in found]
