"""An agent tries every door there is; an ordinary pod beside it shows that there is something behind them."""

from demo import targets
from demo.stage import MANIFESTS, NEIGHBOURS, Stage

EXPLORER, ORDINARY = "explorer", "ordinary"
MUST_EXIST = ("API server", "kubelet", "cluster DNS over UDP", "cluster DNS over TCP")


def play(stage: Stage) -> None:
    """Knock from both; nothing may open to the agent, whose policy opens nothing."""
    stage.apply(MANIFESTS / "ordinary.yaml")
    stage.kube.run("wait", "--for=condition=Ready", f"pod/{ORDINARY}", "--timeout=60s", seconds=70)
    fleet = stage.wait("the agents run", lambda now: all(now[a].is_ready for a in NEIGHBOURS), seconds=60)
    doors = targets.doors(stage.kube, fleet)
    script = stage.kube.run("exec", EXPLORER, "--", "cat", targets.KNOCK)
    one = next(name for name in doors if name.startswith("API server"))
    stage.command("exec", EXPLORER, "--", "python3", targets.KNOCK, f"{one}={doors[one]}", "...")
    ordinary = targets.knock_as_pod(stage.kube, ORDINARY, script, doors)
    agent = targets.knock_as_agent(stage.kube, EXPLORER, doors)
    stage.screen.show(targets.rows([("ORDINARY POD", ordinary), ("AGENT", agent)]))
    open_to_all = targets.reached(ordinary)
    there = all(any(name.startswith(each) for name in open_to_all) for each in MUST_EXIST)
    stage.check(there, f"{len(open_to_all)} of these {len(doors)} doors open to an ordinary pod of the same namespace")
    opened = targets.reached(agent)
    stage.check(not opened, f"to the agent, {', '.join(opened) or 'none of them'} opened")
    stage.kube.run("delete", "pod", ORDINARY, "--wait=false")
    stage.screen.say("library and vault are agents: their own policies keep the ordinary pod out, too")
