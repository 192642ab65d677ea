"""How soon a change of a Connector is in force in the pods that run."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from tests.e2e.connectors.backend import using, usual
from tests.e2e.kube import address
from tests.e2e.world import AgentHandle, World

WATCH = (
    "import json, sys, time, urllib.request\n"
    "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
    "end = time.time() + float(sys.argv[1])\n"
    "def now():\n"
    "    return opener.open('http://127.0.0.1:8811/v1/connectors', timeout=5).read().decode()\n"
    "before, seen = now(), []\n"
    "while time.time() < end:\n"
    "    found = now()\n"
    "    if found != before:\n"
    "        seen.append(time.time())\n"
    "        before = found\n"
    "    time.sleep(0.01)\n"
    "print(json.dumps(seen))\n"
)
CHANGES = 5
APART_SECONDS = 3.0


def watched(agent: AgentHandle, seconds: float) -> list[float]:
    """Return when the agent found that it is permitted something else, in Unix seconds."""
    said = agent.pod.output("python3", "-c", WATCH, str(seconds), container="agent", seconds=seconds + 30)
    return [float(each) for each in json.loads(said)]


def test_what_a_connector_permits_is_in_force_within_a_second(world: World) -> None:
    name = usual(world)
    agent = using(world, name)
    agent.until_ready()
    path = address("Connector", world.namespace, name)
    changed = []

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watched, agent, (CHANGES + 1) * APART_SECONDS)
        for number in range(CHANGES):
            time.sleep(APART_SECONDS)
            verbs = ["Receive"] if number % 2 else ["Receive", "Inspect"]
            permissions = {"queues": [{"pattern": "jobs", "verbs": verbs}]}
            changed.append(time.time())
            world.kube.merge(path, {"spec": {"rabbitmq": {"permissions": permissions}}})
        seen = watching.result()

    assert len(seen) == CHANGES
    took = [there - begun for begun, there in zip(changed, seen, strict=True)]
    assert median(took) <= 1, took
