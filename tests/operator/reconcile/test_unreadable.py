import pytest

from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.reconcile.unreadable import report_unreadable
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, agent_body


async def test_an_agent_of_another_version_says_so_once_and_keeps_what_was_counted() -> None:
    cluster = Cluster()
    counted = {"observedGeneration": 0, "state": "Succeeded", "finishedAt": "2026-11-23T11:00:00Z", "failures": 2}
    body = agent_body("a", isolation="Celestial", status=counted)
    cluster.have("agents", body)
    record = cluster.view.agents.get("team", "a")
    assert record is not None
    with pytest.raises(InvalidSpecError) as caught:
        record.parse()

    for _ in range(2):
        record = cluster.view.agents.get("team", "a")
        assert record is not None
        await report_unreadable(record, caught.value, cluster.view, kube=cluster.api, now=NOW)

    status = cluster.api.objects["agents", "team", "a"]["status"]
    assert [(each["type"], each["status"], each["reason"]) for each in status["conditions"]] == [
        ("Ready", "False", "InvalidSpec"),
        ("Stalled", "True", "InvalidSpec"),
    ]
    assert (status["finishedAt"], status["failures"]) == ("2026-11-23T11:00:00Z", 2)
    assert cluster.api.writes.count("replace agents/status") == 1


async def test_an_agent_that_was_on_its_way_is_not_so_once_nobody_can_read_it() -> None:
    cluster = Cluster()
    since = {"reason": "Starting", "message": "", "lastTransitionTime": "2026-11-23T11:00:00Z"}
    conditions = [{"type": "Ready", "status": "False", **since}, {"type": "Reconciling", "status": "True", **since}]
    cluster.have("agents", agent_body("a", isolation="Celestial", status={"conditions": conditions}))
    record = cluster.view.agents.get("team", "a")
    assert record is not None
    with pytest.raises(InvalidSpecError) as caught:
        record.parse()

    await report_unreadable(record, caught.value, cluster.view, kube=cluster.api, now=NOW)

    body = cluster.api.objects["agents", "team", "a"]
    assert kstatus(body["metadata"]["generation"], body["status"]) == "Failed"
