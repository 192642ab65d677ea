"""`python3 -m demo`: from nothing to a verdict. May be run again at any time."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from demo.errors import DemoError
from demo.kubectl import NAMESPACE, Kubectl
from demo.scenes import connectors, forks, healing, memory, names, network, policy, pools, quota, task
from demo.screen import Screen
from demo.setup import bring_up, clear, install, pids_limit, refusals
from demo.stage import Stage
from devcluster.cluster import REPOSITORY, TOOLS, cluster_name
from devcluster.errors import DevclusterError
from devcluster.lock import locked

LOGS = REPOSITORY / ".logs"


@dataclass
class Result:
    """How one scene ended."""

    title: str
    seconds: float
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """Set up, play every scene, and return 0 if all that was promised was seen."""
    argparse.ArgumentParser(prog="python3 -m demo", description="The main job on a real cluster.").parse_args()
    screen = Screen()
    LOGS.mkdir(exist_ok=True)
    try:
        name = cluster_name()
        waiting = lambda: screen.say("waiting: another demo runs on this cluster")  # noqa: E731
        with locked(LOGS / f"demo-{name}.lock", on_wait=waiting):
            return _run(screen, name)
    except (DemoError, DevclusterError) as error:
        screen.verdict(False, str(error))
        screen.say(f"\nDEMO FAILED after {screen.elapsed:.0f} s; logs: {LOGS.name}/")
        return 1
    except KeyboardInterrupt:
        screen.say(f"\ninterrupted after {screen.elapsed:.0f} s; run it again at any time, or `make down`")
        return 130


def _run(screen: Screen, name: str) -> int:
    log = LOGS / f"demo-{name}.log"
    log.write_text("")
    screen.title(f"Setting up: cluster {name}, operator, egress gateway")
    tags = bring_up(screen, log)
    kubeconfig = REPOSITORY / f".devcluster/{name}.kubeconfig"
    kube = Kubectl(kubeconfig, TOOLS, log)
    pids_limit(kube)
    screen.command("kubectl apply -k deploy   # with the images that were just built")
    install(kube, tags, LOGS / f"deploy-{name}")
    clear(kube)
    screen.verdict(True, "operator and egress gateway are installed, and one of the operator's two replicas leads")
    # A namespace that somebody deleted refuses its last Events: that was before the demo.
    before = refusals(kube)
    results = [_play(kube, screen, number, *scene) for number, scene in enumerate(SCENES, 1)]
    results.append(_rights(kube, before))
    return _verdict(screen, results, kubeconfig.relative_to(REPOSITORY).as_posix())


def _play(kube: Kubectl, screen: Screen, number: int, title: str, play: Callable[[Stage], None]) -> Result:
    """Play one scene; what goes wrong in it is its failure, and the next one is played all the same."""
    begun = time.monotonic()
    stage = Stage(kube, screen)
    screen.title(f"{number}. {title}")
    try:
        play(stage)
    except DemoError as error:
        stage.check(False, str(error))
    return Result(f"{number}. {title}", time.monotonic() - begun, stage.failures)


def _rights(kube: Kubectl, before: int) -> Result:
    """Say whether the few rights that deploy/ gives the operator were enough for all of this, `before` apart."""
    begun = time.monotonic()
    try:
        refused = refusals(kube) - before
        failures = [f"{refused} requests were refused"] if refused else []
    except DemoError as error:
        failures = [str(error)]
    return Result("The operator's own rights were enough: RBAC refused it nothing", time.monotonic() - begun, failures)


def _verdict(screen: Screen, results: list[Result], kubeconfig: str) -> int:
    failed = [result for result in results if result.failures]
    screen.title("Verdict")
    for result in results:
        screen.verdict(not result.failures, f"{result.title} ({result.seconds:.1f} s)")
        for failure in result.failures:
            screen.say(f"      {failure}")
    screen.title("What is running now")
    screen.say(f"the cluster, the operator, and in namespace {NAMESPACE} the agents library, vault,")
    screen.say("explorer, researcher, surveyor, analyst and eager, and the pool python with its warm pods;")
    screen.say("greedy and forker are suspended, read-report has ended")
    for command in LOOK:
        screen.command(command.format(kubeconfig=kubeconfig))
    screen.say("to run all of it again: make demo; to take it down:")
    screen.command(f"kubectl delete namespace {NAMESPACE}   # the agents")
    screen.command("make down                               # all of it")
    word = f"{len(failed)} of {len(results)} points FAILED" if failed else f"all {len(results)} points passed"
    screen.say(f"\nDEMO {'FAILED' if failed else 'PASSED'}: {word} in {screen.elapsed:.0f} s; log: {LOGS.name}/")
    return 1 if failed else 0


SCENES: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("A task does its work and leaves a result", task.play),
    ("An agent that takes more memory than it may", memory.play),
    ("An agent that forks without end", forks.play),
    ("An agent that tries the network", network.play),
    ("A policy that opens one destination", policy.play),
    ("An agent that is killed by hand", healing.play),
    ("Agents that reach the outside by name", names.play),
    ("An agent that asks a warehouse and a broker", connectors.play),
    ("An agent that wants more than its quota", quota.play),
    ("A cold and a warm start side by side", pools.play),
)
LOOK = (
    "export KUBECONFIG={kubeconfig} PATH=$PWD/.devcluster/bin:$PATH",
    "kubectl -n ringfence-demo get agents -o wide",
    "kubectl -n ringfence-demo describe agent greedy",
    "kubectl -n ringfence-demo get agentpools -o wide",
    "kubectl -n ringfence-demo get networkpolicies,securitypolicies",
    "kubectl -n ringfence-demo describe quota.ringfence.dev eager",
    "kubectl -n ringfence-system logs deployment/ringfence-operator",
)

if __name__ == "__main__":
    sys.exit(main())
