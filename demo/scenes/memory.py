"""An agent that allocates beyond its limit is killed in its own cgroup."""

from demo.fleet import AgentView
from demo.stage import NEIGHBOURS, QUICKSTART, Stage

GREEDY = "greedy"


def play(stage: Stage) -> None:
    """Start its neighbours, then the agent; the kernel does the rest."""
    stage.apply(QUICKSTART / "2-services.yaml")
    stage.wait("the neighbours run", lambda now: all(now[name].is_ready for name in NEIGHBOURS), seconds=60)
    before = stage.neighbours()
    stage.apply(QUICKSTART / "3-limits.yaml")
    fleet = stage.wait("the kernel kills it", lambda now: _was_killed(now[GREEDY]), seconds=60)
    greedy = fleet[GREEDY]
    stage.screen.say(greedy.message)
    stage.command("get", "agent", GREEDY, "-o", "jsonpath={.status.lastExit}")
    ended = greedy.last_exit
    stage.check(bool(ended.get("oomKilled")), f"status.lastExit: code {ended.get('code')}, {ended.get('reason')}")
    stage.check("(Agent)" in greedy.message, "the status names the limit that it passed, and who set it")
    # Between two runs, so that the last exit stays that of the memory limit.
    stage.show("patch", "agent", GREEDY, "--type=merge", "--patch", '{"spec":{"suspend":true}}')
    unhurt = stage.neighbours() == before
    stage.check(unhurt, "its neighbours library, vault and explorer run on: same pods, no restarts")


def _was_killed(greedy: AgentView) -> bool:
    """True once the kubelet waits before it starts the agent again: the first time it does so at once."""
    return greedy.reason == "OutOfMemory" and int(greedy.status.get("restarts", 0)) >= 1
