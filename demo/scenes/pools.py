"""A cold and a warm start side by side: the same program, image and limits, in a new pod and in one of a pool."""

import contextlib
import json
import re
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from demo.errors import CommandError, DemoError
from demo.kubectl import NAMESPACE, Raw
from demo.stage import MANIFESTS, Stage

POOL = "python"
ROUNDS = 3
SAY_WHEN = "date +%s.%N; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""Says when it runs by the node's clock, which is this machine's."""
SECONDS = 60
POLL_SECONDS = 0.2
_SERVING = re.compile(r"127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Start:
    """One agent's: how long after the API server was asked for it its command ran, and in which pod."""

    seconds: float
    pod: str


def play(stage: Stage) -> None:
    """Start agents by turns, one cold and one warm, and compare."""
    stage.apply(MANIFESTS / "pool.yaml")
    template = (stage.kube.get("agentpool", POOL) or {})["spec"]["template"]
    cold: list[Start] = []
    warm: list[Start] = []
    with _api_server(stage) as address:
        for number in range(ROUNDS):
            # Each claim is to find all pods warm; a refill that goes on beside it is another's time.
            _until_warm(stage, claimed=number)
            own = {"image": template["image"], "resources": template["resources"]}
            cold.append(_start(stage, address, f"cold-{number + 1}", own))
            warm.append(_start(stage, address, f"warm-{number + 1}", {"poolRef": {"name": POOL}}))
    stage.screen.show([("FROM POST TO RUNNING", "COLD", "WARM"), *_rows(cold, warm)])
    stage.show("get", "agentpool", POOL, "-o", "wide")
    claimed = [each.pod for each in warm]
    stage.check(
        len(set(claimed)) == ROUNDS and all(pod.startswith(f"{POOL}-") for pod in claimed),
        f"each warm agent has a pod of the pool for itself: {', '.join(claimed)}",
    )
    slow, fast = (statistics.median(each.seconds for each in starts) for starts in (cold, warm))
    what = (
        f"the command runs after {_shown(fast)} warm and {_shown(slow)} cold (medians of {ROUNDS}, image on the node)"
    )
    stage.check(fast < slow, f"{what}: {slow / fast:.0f} times as fast")
    stage.show("delete", "agents", *(f"{kind}-{n + 1}" for kind in ("cold", "warm") for n in range(ROUNDS)))


def _rows(cold: list[Start], warm: list[Start]) -> list[tuple[str, str, str]]:
    pairs = zip(cold, warm, strict=True)
    return [(f"{number}.", _shown(one.seconds), _shown(other.seconds)) for number, (one, other) in enumerate(pairs, 1)]


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _until_warm(stage: Stage, *, claimed: int) -> None:
    """Return once all pods of the pool are warm, as it says after so many claims."""
    deadline = time.monotonic() + SECONDS
    while True:
        pool = stage.kube.get("agentpool", POOL) or {}
        status: Raw = pool.get("status", {})
        if (status.get("warm"), status.get("claimed", 0)) == (pool.get("spec", {}).get("size"), claimed):
            return
        if time.monotonic() > deadline:
            said: Raw = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
            raise DemoError(f"the pool is not warm within {SECONDS} s: {said.get('reason')}, {said.get('message')}")
        time.sleep(POLL_SECONDS)


@contextmanager
def _api_server(stage: Stage) -> Iterator[str]:
    """Yield where `kubectl proxy` answers: kubectl's own start is not to be in what is measured."""
    process = stage.kube.start("proxy", "--port=0")
    try:
        assert process.stdout is not None
        found = _SERVING.search(process.stdout.readline())
        if found is None:
            raise DemoError("kubectl proxy does not say where it serves")
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.wait(10)


def _start(stage: Stage, address: str, name: str, own: Raw) -> Start:
    """Create an agent, and return how long it took until its command ran."""
    body = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"command": ["sh", "-c", SAY_WHEN], **own},
    }
    request = urllib.request.Request(
        f"{address}/apis/ringfence.dev/v1alpha1/namespaces/{NAMESPACE}/agents",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    begun = time.time()
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            pass
    except urllib.error.HTTPError as error:
        raise DemoError(f"Agent {name} is refused: {error.read().decode()}") from None
    pod, ran_at = _first_word(stage, name)
    return Start(ran_at - begun, pod)


def _first_word(stage: Stage, name: str) -> tuple[str, float]:
    """Return the agent's pod, and when its command ran."""
    deadline = time.monotonic() + SECONDS
    pod = ""
    while time.monotonic() < deadline:
        agent = stage.kube.get("agent", name) or {}
        pod = pod or agent.get("status", {}).get("podName", "")
        if pod:
            # Before the container has begun, the kubelet has no log to give.
            with contextlib.suppress(CommandError, ValueError):
                return pod, float(stage.kube.run("logs", pod, "--container=agent"))
        time.sleep(POLL_SECONDS)
    raise DemoError(f"the command of agent {name} does not run within {SECONDS} s")
