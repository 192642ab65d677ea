import json
from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.errors import ForbiddenError
from ringfence_operator.reconcile.network_probe import NetworkProbe
from ringfence_operator.resources.network_probe import Verdict
from ringfence_operator.settings import Settings
from tests.operator.reconcile.api_server import FakeApiServer, Place
from tests.operator.reconcile.tables import build_tables, build_view
from tests.operator.reconcile.world import run
from tests.operator.resources.objects import NOW, SETTINGS

Raw = dict[str, Any]
SYSTEM = "ringfence-system"
PROBER: Place = ("pods", SYSTEM, "ringfence-network-probe")
TARGET: Place = ("pods", SYSTEM, "ringfence-network-probe-target")
DENY: Place = ("networkpolicies", SYSTEM, "ringfence-network-probe")
PROBING = SETTINGS.model_copy(update={"probe_image": "operator:1", "probe_interval": 3600})
CLOSED, OPEN = {"pod": "refused", "kubelet": "refused"}, {"pod": "open", "kubelet": "refused"}
MADE, AGAIN = (
    ["create pods", "create pods", "delete pods"],
    ["create pods", "delete pods", "create pods", "delete pods"],
)


class Cluster:
    """An API server in memory, a kubelet that does what `found` and `is_runnable` say, and one operator's probe."""

    def __init__(self, settings: Settings = PROBING) -> None:
        self.now = NOW
        self.api = FakeApiServer(lambda: self.now)
        self.found: list[Raw | str] = [CLOSED]
        """What the next probers say, the last one for all that follow; a word is the reason of a failure."""
        self.is_runnable = True
        self.close()
        self.start(settings)

    def close(self) -> None:
        meta = {"name": DENY[2], "namespace": SYSTEM}
        self.api.add("networkpolicies", {"metadata": meta, "spec": {"podSelector": {}}}, SYSTEM)

    def start(self, settings: Settings = PROBING) -> None:
        """Begin as a process does, with what is there."""
        self.tables = build_tables()
        self.view = build_view(self.tables, settings)
        self.probe = NetworkProbe(self.view, self.api)
        self.delivered = 0
        self.due: float | None = None

    def settle(self) -> list[str]:
        """Let everything happen that needs no waiting, and return the writes that it took."""
        before = len(self.api.writes)
        for _ in range(20):
            seen = len(self.api.log)
            self.step()
            if len(self.api.log) == seen:
                return self.api.writes[before:]
        raise AssertionError(f"did not settle: {self.api.writes}")

    def step(self) -> None:
        self._deliver()
        self.due = run(self.probe.reconcile(self.now))
        self._kubelet()

    def wait(self, seconds: float) -> list[str]:
        self.now += timedelta(seconds=seconds)
        return self.settle()

    def _deliver(self) -> None:
        for kind, plural, raw in self.api.log[self.delivered :]:
            table = "probepods" if plural == "pods" else plural
            self.tables[table].follow(kind, raw)
            pods = self.tables["probepods"]
            self.view.network.learn(pods.get(*PROBER[1:]), pods.get(*TARGET[1:]))
        self.delivered = len(self.api.log)

    def _kubelet(self) -> None:
        target, prober = self.api.objects.get(TARGET), self.api.objects.get(PROBER)
        if self.is_runnable and target and "podIPs" not in target["status"]:
            ready = [{"type": "Ready", "status": "True"}]
            self.set(TARGET, phase="Running", podIPs=[{"ip": "10.0.0.5"}], conditions=ready)
        elif prober and prober["status"]["phase"] == "Pending":
            self.set(PROBER, phase="Running")
        elif prober and prober["status"]["phase"] == "Running":
            self._end(self.found[0] if len(self.found) == 1 else self.found.pop(0))

    def _end(self, found: Raw | str) -> None:
        if isinstance(found, str):
            self.fail(PROBER, found)
        else:
            ended = {"exitCode": 0, "message": json.dumps(found), "finishedAt": format_timestamp(self.now)}
            self.set(PROBER, phase="Succeeded", containerStatuses=[{"state": {"terminated": ended}}])

    def fail(self, place: Place, reason: str) -> None:
        ended = {"exitCode": 1, "reason": reason, "finishedAt": format_timestamp(self.now)}
        states = [{"state": {"terminated": ended}}]
        self.set(place, phase="Failed", reason=reason, conditions=[], containerStatuses=states)

    def set(self, place: Place, **status: Any) -> None:
        self.api.change(place, lambda raw: raw["status"].update(status))

    @property
    def pods(self) -> list[str]:
        return sorted(name for plural, _, name in self.api.objects if plural == "pods")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_probe_takes_three_writes_and_leaves_the_record_of_its_verdict(cluster: Cluster) -> None:
    writes = cluster.settle()

    assert (writes, cluster.pods) == (MADE, ["ringfence-network-probe"])
    assert cluster.view.network.verdict == Verdict(())
    assert cluster.api.objects[PROBER]["spec"]["containers"][0]["args"] == ["prober", "18800", "10.0.0.5"]


def test_the_prober_tries_each_port_that_a_kubelet_of_the_cluster_has(cluster: Cluster) -> None:
    for name, port in (("a", 10250), ("b", 10255), ("c", 10255)):
        meta = {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": "2026-11-23T12:00:00Z"}
        status = {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
        cluster.tables["nodes"].follow("ADDED", {"metadata": meta, "spec": {}, "status": status})

    cluster.settle()

    env = {each["name"]: each for each in cluster.api.objects[PROBER]["spec"]["containers"][0]["env"]}
    assert env["KUBELET_PORTS"]["value"] == "10250,10255"


def test_nothing_is_written_until_the_next_probe_is_due(cluster: Cluster) -> None:
    cluster.settle()

    assert cluster.wait(3599) == []
    assert cluster.due == 1
    assert cluster.wait(1) == AGAIN
    assert cluster.pods == ["ringfence-network-probe"]


def test_a_restarted_operator_knows_the_verdict_and_writes_nothing(cluster: Cluster) -> None:
    cluster.settle()

    cluster.start()

    assert cluster.settle() == []
    assert cluster.view.network.verdict == Verdict(())


def test_a_restarted_operator_takes_away_the_target_that_its_predecessor_left(cluster: Cluster) -> None:
    cluster.settle()
    meta = {"name": TARGET[2], "namespace": SYSTEM}
    cluster.api.add("pods", {"metadata": meta, "spec": {"containers": [{"image": "x"}]}}, SYSTEM)

    cluster.start()

    assert cluster.settle() == ["delete pods"]
    assert cluster.pods == ["ringfence-network-probe"]


def test_a_bad_verdict_after_a_good_one_is_probed_again_at_once(cluster: Cluster) -> None:
    cluster.settle()
    cluster.found = [OPEN, CLOSED]

    writes = cluster.wait(3600)

    assert writes == ["create pods", "delete pods", "create pods", "delete pods", "create pods", "delete pods"]
    assert cluster.view.network.verdict == Verdict(())


def test_where_nothing_is_enforced_it_is_probed_more_often(cluster: Cluster) -> None:
    cluster.found = [OPEN]
    cluster.settle()
    before = cluster.view.network.verdict

    assert cluster.wait(299) == []
    cluster.found = [CLOSED]
    assert cluster.wait(1) == AGAIN
    assert (before, cluster.view.network.verdict) == (Verdict(("pod",)), Verdict(()))


def test_a_record_that_somebody_deletes_is_made_anew_and_what_it_said_holds_meanwhile(cluster: Cluster) -> None:
    cluster.settle()
    cluster.api.remove(PROBER)
    cluster.is_runnable = False

    assert cluster.settle() == ["create pods"]
    assert cluster.view.network.verdict == Verdict(())
    cluster.is_runnable = True
    assert cluster.settle() == ["create pods", "delete pods"]


def test_a_probe_that_cannot_run_is_tried_again_later_and_later(cluster: Cluster) -> None:
    cluster.found = ["DeadlineExceeded", "DeadlineExceeded", CLOSED]
    first = cluster.settle()
    delays = []
    for _ in range(2):
        delays.append(cluster.due)
        assert cluster.due is not None
        assert cluster.wait(cluster.due - 1) == []
        assert cluster.wait(1) == AGAIN

    assert (first, delays) == (MADE, [10, 20])
    assert cluster.view.network.verdict == Verdict(())


def test_a_target_that_ends_is_made_anew_later_and_later(cluster: Cluster) -> None:
    cluster.is_runnable = False
    cluster.settle()
    delays = []
    for _ in range(7):
        cluster.fail(TARGET, "Error")
        assert cluster.settle() == []
        delays.append(cluster.due)
        assert cluster.due is not None
        assert cluster.wait(cluster.due) == ["delete pods", "create pods"]

    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert cluster.view.network.verdict is None


def test_a_target_that_nobody_can_run_costs_nothing_until_the_image_is_another(cluster: Cluster) -> None:
    cluster.is_runnable = False
    first = cluster.settle()

    assert (first, cluster.wait(86_400)) == (["create pods"], [])
    cluster.start(PROBING.model_copy(update={"probe_image": "operator:2"}))
    assert cluster.settle() == ["delete pods", "create pods"]


def test_a_prober_whose_target_goes_meanwhile_is_no_verdict(cluster: Cluster) -> None:
    while PROBER not in cluster.api.objects:
        cluster.step()

    cluster.api.remove(TARGET)
    cluster.settle()

    assert cluster.view.network.known.is_void
    assert cluster.due == 10


def test_a_pod_on_its_way_out_is_not_waited_for(cluster: Cluster) -> None:
    cluster.settle()
    cluster.api.change(PROBER, lambda raw: raw["metadata"].update(deletionTimestamp=format_timestamp(NOW)))

    assert cluster.settle() == ["delete pods", *MADE]


def test_nothing_is_made_before_the_policy_that_closes_it(cluster: Cluster) -> None:
    cluster.api.remove(DENY)

    assert cluster.settle() == []
    cluster.close()
    assert cluster.settle() == MADE


def test_a_pod_that_is_refused_is_an_error_of_the_pass(cluster: Cluster) -> None:
    cluster.api.refuse["create pods"] = ForbiddenError("exceeded quota")

    with pytest.raises(ForbiddenError):
        cluster.settle()


def test_without_an_image_nothing_is_probed() -> None:
    cluster = Cluster(SETTINGS)

    assert (cluster.settle(), cluster.due) == ([], None)


def test_the_image_may_be_that_of_the_operators_own_pod() -> None:
    cluster = Cluster(PROBING.model_copy(update={"probe_image": "own", "identity": "operator-1"}))
    container = {"name": "operator", "image": "own:3"}
    meta = {"name": "operator-1", "namespace": SYSTEM}
    cluster.api.objects["pods", SYSTEM, "operator-1"] = {"metadata": meta, "spec": {"containers": [container]}}

    cluster.settle()
    cluster.wait(3600)

    assert cluster.api.objects[PROBER]["spec"]["containers"][0]["image"] == "own:3"
    assert cluster.api.reads == ["/api/v1/namespaces/ringfence-system/pods/operator-1"]
