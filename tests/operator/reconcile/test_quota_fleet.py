"""Five thousand agents under five hundred quotas, in real caches: what does not change costs no write and no agent."""

from datetime import timedelta
from typing import Any

from ringfence_operator.kube.informer import Informer
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.reconcile.quota import QuotaTools, reconcile_quota
from ringfence_operator.reconcile.quota_use import Use
from tests.operator.reconcile.api_server import FakeApiServer
from tests.operator.reconcile.test_quota import FakeSource
from tests.operator.resources.objects import NOW, agent_body, quota_body
from tests.operator.test_caches import Watched

AGENTS, QUOTAS = 5_000, 500
CALLS = "apiCalls/Hour/PerAgent"


class Fleet(Watched):
    """Each quota selects ten agents by a label."""

    def __init__(self) -> None:
        super().__init__()
        self.api = FakeApiServer(lambda: NOW)
        self.source = FakeSource()
        self.tools = QuotaTools(self.caches.view, self.api, (self.source,))
        self.round = 0
        for number in range(AGENTS):
            body = agent_body(f"a{number}")
            body["metadata"] |= {"labels": {"team": f"t{number % QUOTAS}", "app": "x"}, "resourceVersion": "1"}
            self.informer("agents").store(body)
        for number in range(QUOTAS):
            selector = {"matchLabels": {"team": f"t{number}", "app": "x"}}
            self.informer("quotas").store(self.api.add("quotas", quota_body(f"q{number}", selector=selector), "team"))

    def informer(self, name: str) -> Informer[Any]:
        return next(each for each in self.caches.informers if each.name == name)

    async def look_at_all(self) -> int:
        """Look at every quota, a minute later; return how many were written."""
        self.round += 1
        before = len(self.api.writes)
        for quota in list(self.caches.view.quotas.cache.values()):
            await reconcile_quota(quota, self.tools, now=NOW + timedelta(minutes=self.round))
        return len(self.api.writes) - before


async def test_a_settled_fleet_costs_writes_only_for_what_changed() -> None:
    fleet = Fleet()

    counts = [await fleet.look_at_all() for _ in range(3)]
    fleet.source.only, fleet.source.said = "q7", {CALLS: Use(used=3.0)}
    counts += [await fleet.look_at_all() for _ in range(2)]

    assert counts == [QUOTAS, 0, 0, 1, 0]
    assert {each.status.agents for each in fleet.caches.view.quotas.cache.values()} == {AGENTS // QUOTAS}


async def test_a_quota_that_changes_concerns_its_own_agents_and_no_others() -> None:
    fleet = Fleet()
    await fleet.marked(after=60)
    body = quota_body("q7", selector={"matchLabels": {"team": "t7", "app": "x"}})
    body["metadata"]["generation"] = 2

    fleet.see("quotas", body)

    marked = await fleet.marked()
    assert marked[0] == Task("Quota", "team", "q7")
    assert {task.name for task in marked[1:]} == {f"a{number}" for number in range(7, AGENTS, QUOTAS)}
