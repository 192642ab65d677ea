import asyncio

from ringfence_operator.reconcile.agent import reconcile_agent
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.tools import Tools
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, agent_body

KEPT = {"metadata": {"name": "kept", "namespace": "team", "uid": "c", "resourceVersion": "1"}, "spec": {}}


async def test_of_agents_that_start_at_once_on_one_claim_one_gets_a_pod() -> None:
    cluster = Cluster()
    cluster.have("persistentvolumeclaims", KEPT)
    names = ["a", "b", "c", "d"]
    for name in names:
        cluster.have("agents", agent_body(name, workspace={"claimName": "kept"}))
    tools = Tools(cluster.view, cluster.api, cluster.networks, Locks())

    async def reconcile(name: str) -> None:
        agent = cluster.view.agent("team", name)
        assert agent is not None
        await reconcile_agent(agent, tools, now=NOW)

    for _ in range(2):
        await asyncio.gather(*(reconcile(name) for name in names))

    assert len([place for place in cluster.api.objects if place[0] == "pods"]) == 1


async def test_agents_with_workspaces_of_their_own_all_get_pods() -> None:
    cluster = Cluster()
    tools = Tools(cluster.view, cluster.api, cluster.networks, Locks())
    for name in ("a", "b", "c"):
        cluster.have("agents", agent_body(name, workspace={"size": "1Gi"}))
        agent = cluster.view.agent("team", name)
        assert agent is not None
        await reconcile_agent(agent, tools, now=NOW)

    kinds = [place[0] for place in cluster.api.objects]
    assert (kinds.count("pods"), kinds.count("persistentvolumeclaims")) == (3, 3)


async def test_an_agent_resumed_while_another_starts_on_its_claim_does_not_start_beside_it() -> None:
    cluster = Cluster()
    cluster.have("persistentvolumeclaims", KEPT)
    cluster.have("agents", agent_body("a", workspace={"claimName": "kept"}, suspend=True))
    cluster.have("agents", agent_body("b", workspace={"claimName": "kept"}))
    tools = Tools(cluster.view, cluster.api, cluster.networks, Locks())

    async def reconcile(name: str) -> None:
        agent = cluster.view.agent("team", name)
        assert agent is not None
        await reconcile_agent(agent, tools, now=NOW)

    first = asyncio.create_task(reconcile("b"))
    await asyncio.sleep(0)
    cluster.change("agents", "a", suspend=False)
    await asyncio.gather(first, reconcile("a"))

    assert len([place for place in cluster.api.objects if place[0] == "pods"]) == 1
