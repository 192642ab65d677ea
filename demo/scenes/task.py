"""A Task reads its input, writes its result, ends; another agent adopts the workspace and reads it back."""

import csv
import io
import json
import statistics
from collections import defaultdict
from datetime import datetime
from typing import Any

from demo.errors import DemoError
from demo.stage import MANIFESTS, QUICKSTART, Stage

TASK, READER = "summarize-tickets", "read-report"


def play(stage: Stage) -> None:
    """Run the task, then read its result back through the workspace that it left."""
    stage.apply(QUICKSTART / "1-task.yaml")
    fleet = stage.wait("the task succeeds", lambda now: now[TASK].state in ("Succeeded", "Failed"), seconds=60)
    task = fleet[TASK]
    stage.check(task.state == "Succeeded", f"the task ended: {task.state}, {task.message}")
    stage.command("wait", "--for=condition=Complete", f"agent/{TASK}")
    stage.screen.say(stage.show("logs", TASK).strip())
    stage.show("delete", "agent", TASK)
    stage.apply(MANIFESTS / "reader.yaml")
    stage.wait("the workspace is read back", lambda now: now[READER].state in ("Succeeded", "Failed"), seconds=60)
    text = stage.show("logs", READER)
    stage.screen.say(text.strip())
    expected = summary(_input(stage))
    stage.check(_parsed(text) == expected, "the report from the retained workspace is right, worked out here once more")


def summary(tickets: list[dict[str, str]]) -> dict[str, Any]:
    """Return what the agent should have found."""
    hours: dict[str, list[float]] = defaultdict(list)
    for ticket in tickets:
        if ticket["closed"]:
            took = datetime.fromisoformat(ticket["closed"]) - datetime.fromisoformat(ticket["opened"])
            hours[ticket["category"]].append(took.total_seconds() / 3600)
    return {
        "tickets": len(tickets),
        "open": [{"id": int(each["id"]), "subject": each["subject"]} for each in tickets if not each["closed"]],
        "median_hours_to_close": {key: round(statistics.median(hours[key]), 1) for key in sorted(hours)},
        "slowest_category": max(hours, key=lambda key: statistics.median(hours[key])),
    }


def _input(stage: Stage) -> list[dict[str, str]]:
    found = stage.kube.get("configmap", "tickets")
    if found is None:
        raise DemoError("ConfigMap tickets is gone")
    return list(csv.DictReader(io.StringIO(found["data"]["tickets.csv"])))


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
