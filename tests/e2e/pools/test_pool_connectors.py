"""Agents that claim a pod whose sidecar has the connectors of their pool."""

import json
import time

import pytest

from tests.e2e.connectors.backend import until
from tests.e2e.connectors.calls import API, ask, do, filled, rabbitmq, snowflake
from tests.e2e.kube import Body
from tests.e2e.pools.pools import HOLD, Claimed, PoolHandle, claimant, claimed, lines, pool
from tests.e2e.world import AgentHandle, World, message_of

pytestmark = pytest.mark.usefixtures("backends")
ASK = (
    "import os, urllib.request\n"
    "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
    "request = urllib.request.Request(os.environ['RINGFENCE_API_URL'] + '/connectors')\n"
    "request.add_header('Accept', 'application/json')\n"
    "print(opener.open(request, timeout=10).read().decode().replace('\\n', ' '), flush=True)"
)
"""Asks the sidecar, as soon as it runs, which connectors there are."""
_OK, _UNAVAILABLE = 200, 503


def caller(got: Claimed) -> AgentHandle:
    """Return what `ask` and `do` call from: the agent, by the name of the pod that it has claimed."""
    return AgentHandle(got.agent.kube, got.agent.namespace, got.pod.name)


def with_both(world: World, size: int = 1) -> tuple[PoolHandle, str, str]:
    """Return a pool of two connectors, and their names."""
    sales, events = snowflake(world), rabbitmq(world)
    return pool(world, size, connectors=[{"name": sales}, {"name": events}]), sales, events


def counted(agent: AgentHandle, name: str, sql: str) -> Body:
    """Ask; again, while the counters are not there: a namespace's first are counted on once every pod has spoken."""
    end = time.monotonic() + 60
    while True:
        answer = do(agent, name, "query", {"sql": sql})
        if answer.get("code") != "QuotaStoreUnavailable" or time.monotonic() > end:
            return answer
        time.sleep(0.2)


def test_an_agent_calls_the_connector_that_it_names_from_its_first_moment_and_no_other(alone: World) -> None:
    of, sales, events = with_both(alone)
    (warm,) = of.pods().values()

    got = claimed(alone, of, command=["sh", "-c", f'python3 -c "$0"; {HOLD}', ASK], connectors=[{"name": sales}])
    listed = lines(got)[0]
    filled(caller(got), sales)
    answer = do(caller(got), sales, "query", {"sql": "SELECT COUNT(*) AS n FROM orders"})
    status, refused = ask(caller(got), f"connectors/{events}/inspect", {"queue": "q"})

    assert got.body["status"]["podUID"] == warm
    assert sales in listed
    assert events not in listed
    assert answer["data"]["rows"] == [[3]]
    assert status >= 400, refused


def test_the_audits_lines_and_the_pods_labels_are_the_agents_own(alone: World) -> None:
    of, sales, events = with_both(alone)

    got = claimed(alone, of, connectors=[{"name": sales}])
    filled(caller(got), sales)
    log = alone.kube.log(got.pod.path, container="sidecar").splitlines()
    written = [json.loads(line) for line in log if line.startswith("{") and f'"{sales}"' in line]
    labels = got.pod.get()["metadata"]["labels"]

    assert any(got.agent.name in json.dumps(line) for line in written), log[-5:]
    assert labels[f"connector.ringfence.dev/{sales}"] == "true"
    assert f"connector.ringfence.dev/{events}" not in labels


def test_nothing_in_a_pod_that_waits_is_served(alone: World) -> None:
    of, sales, events = with_both(alone)
    handle = of.handle(*of.pods())

    listed = handle.script("call", f"{API}/connectors", None, {}, container="agent", seconds=60)[2]
    query = f"{API}/connectors/{sales}/query"
    code, _, text = handle.script("call", query, {"sql": "SELECT 1"}, {}, container="agent", seconds=60)

    assert sales not in listed
    assert events not in listed
    assert int(code) == _UNAVAILABLE, text


def test_a_connector_that_the_pool_has_not_is_a_reason_and_a_cold_start_where_the_agent_says_so(
    alone: World,
) -> None:
    sales, events = snowflake(alone), rabbitmq(alone)
    of = pool(alone, 1, connectors=[{"name": sales}])
    warm = of.pods()

    refused = claimant(alone, of, connectors=[{"name": events}]).until_reason("NotGivenWarm")
    agent = claimant(alone, of, name="cold", connectors=[{"name": events}], onMiss="Cold")
    got = Claimed(agent, agent.until_ready())

    assert "spec.template.connectors" in message_of(refused)
    assert got.pod.name == agent.name
    assert of.pods() == warm
    assert ask(caller(got), "connectors")[0] == _OK


def test_a_quota_on_calls_is_enforced_in_a_claimed_pod(alone: World) -> None:
    of, sales, _ = with_both(alone)
    limit = {"resource": "apiCalls", "max": 4, "window": "Hour", "scope": "PerAgent"}
    quota = alone.named("Quota", "calls", api="ringfence.dev/v1alpha1", spec={"limits": [limit]})

    got = claimed(alone, of, connectors=[{"name": sales}], quotaRef={"name": quota["metadata"]["name"]})
    until(caller(got), "Connector", sales, "EndpointsHealthy")
    answers = [counted(caller(got), sales, f"SELECT {number} AS n") for number in range(6)]

    assert [each["status"] == "ok" for each in answers] == [True] * 4 + [False] * 2, answers
