"""What a Connector says holds for agents that run."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.connectors.backend import using, usual
from tests.e2e.kube import address
from tests.e2e.world import World

CLOCKS_SECONDS = 1.0
UNTIL_LISTED = (
    "import json, os, sys, time, urllib.request\n"
    "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
    "wanted, end = sys.argv[1], time.time() + 30\n"
    "print('begun', file=sys.stderr)\n"
    "while time.time() < end:\n"
    "    listed = opener.open(os.environ['RINGFENCE_API_URL'] + '/connectors', timeout=5).read().decode()\n"
    "    if wanted in listed: break\n"
    "    time.sleep(0.02)\n"
    "print(json.dumps([time.time(), wanted in listed]))"
)
"""Prints when an operation is listed for the first time, and whether it was."""


def test_what_a_connector_permits_comes_to_hold_and_replaces_no_pod(alone: World) -> None:
    name = usual(alone)
    agent = using(alone, name)
    before = agent.until_ready()
    path = address("Connector", alone.namespace, name)
    queues = [{"pattern": "orders", "verbs": ["Receive"]}]

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(agent.pod.output, "python3", "-c", UNTIL_LISTED, "receive", seconds=60, container="agent")
        # What it finds first is what held before.
        time.sleep(2)
        alone.kube.merge(path, {"spec": {"rabbitmq": {"permissions": {"queues": queues}}}})
        changed = time.time()
        found, was_listed = json.loads(looking.result())

    assert was_listed
    assert found > changed - CLOCKS_SECONDS, "it was permitted before"
    assert agent.get()["status"]["podUID"] == before["status"]["podUID"]
