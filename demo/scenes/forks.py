"""An agent that forks without end stops at the pids limit of its pod's cgroup."""

import re

from demo.setup import pids_limit
from demo.stage import Stage

FORKER = "forker"
_REPORT = re.compile(r"processes=(\d+) refused=(\d+)")


def play(stage: Stage) -> None:
    """Read from the agent's own log how far it came."""
    limit = pids_limit(stage.kube)
    stage.command("get", "--raw", "/api/v1/nodes/NODE/proxy/configz")
    stage.screen.say(f"the kubelet gives each pod at most {limit} processes (podPidsLimit)")
    before = stage.neighbours()
    stage.wait("the kernel refuses a fork", lambda now: bool(now[FORKER].container and _reports(stage)), seconds=60)
    first = _reports(stage)[-1]
    stage.wait("it goes on trying", lambda _: _reports(stage)[-1][1] >= first[1] + 3, seconds=60)
    stage.screen.say(stage.show("logs", FORKER, "--tail=2").strip())
    reports = _reports(stage)
    most = max(processes for processes, _ in reports)
    stage.check(most <= limit, f"never more than {most} processes, and {reports[-1][1]} forks of the first one refused")
    stage.check(_is_node_well(stage), "the node is Ready and not short of process ids")
    stage.check(
        stage.neighbours() == before, "its neighbours library, vault and explorer run on: same pods, no restarts"
    )
    stage.show("patch", "agent", FORKER, "--type=merge", "--patch", '{"spec":{"suspend":true}}')
    stopped = stage.wait("it is suspended", lambda now: now[FORKER].state == "Suspended", seconds=60)
    stage.check(not stopped[FORKER].pod, "suspended: its pod and all its processes are gone")


def _reports(stage: Stage) -> list[tuple[int, int]]:
    text = stage.kube.run("logs", FORKER, "--tail=50")
    return [(int(processes), int(refused)) for processes, refused in _REPORT.findall(text)]


def _is_node_well(stage: Stage) -> bool:
    conditions = {each["type"]: each["status"] for each in stage.kube.items("nodes")[0]["status"]["conditions"]}
    return conditions.get("Ready") == "True" and conditions.get("PIDPressure") == "False"
