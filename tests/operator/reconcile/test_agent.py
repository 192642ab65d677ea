from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.errors import ForbiddenError, InvalidError, KubeError
from ringfence_operator.reconcile.agent import POLICY_SECONDS
from ringfence_operator.resources.gateway import build_port_set_service
from ringfence_operator.settings import Settings
from tests.operator.egress.test_ledger import port_set
from tests.operator.reconcile.api_server import Raw
from tests.operator.reconcile.fake_gateway import FakeGateway
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.world import AGENT, POD, World
from tests.operator.resources.objects import container_status, policy_body

SERVICE_PORTS = [{"name": "http", "port": 8080}]
QUOTA = 'pods "a" is forbidden: exceeded quota: q, requested: memory=1Gi, used: memory=4Gi, limited: memory=4Gi'
FAILED_QUOTA = 'pods "a" is forbidden: failed quota: q: must specify limits.cpu'
PSS = 'pods "a" is forbidden: violates PodSecurity "restricted:latest"'


def reason(world: World) -> Any:
    return world.condition("Ready").get("reason")


@pytest.mark.parametrize(
    ("error", "expected", "word"),
    [
        (ForbiddenError(QUOTA), "QuotaExceeded", "InProgress"),
        (ForbiddenError(FAILED_QUOTA), "QuotaExceeded", "InProgress"),
        (ForbiddenError(PSS), "AdmissionRefused", "InProgress"),
        (InvalidError("spec.containers[0].image: Invalid value"), "PodInvalid", "Failed"),
    ],
)
def test_a_refused_pod_becomes_a_reason_with_the_servers_words_and_is_tried_again(
    error: KubeError, expected: str, word: str
) -> None:
    world = World({})
    world.api.refuse["create pods"] = error

    world.reconcile()

    assert reason(world) == expected
    assert world.condition("Ready")["message"] == str(error)
    assert kstatus(1, world.status) == word
    assert world.due is not None
    del world.api.refuse["create pods"]
    world.settle()
    assert reason(world) == "Running"


def test_the_same_refusal_is_written_and_told_once() -> None:
    world = World({})
    world.api.refuse["create pods"] = ForbiddenError(QUOTA)

    for _ in range(5):
        world.deliver()
        world.reconcile()

    assert world.api.writes == ["create networkpolicies", "replace agents/status", "create events"]


def test_a_foreign_pod_of_the_agents_name_is_left_alone_and_named() -> None:
    world = World({})
    world.api.add("pods", {"metadata": {"name": "a", "namespace": "team", "uid": "theirs"}, "spec": {}}, "team")

    world.reconcile()

    assert reason(world) == "NameTaken"
    assert world.pod is not None
    assert world.pod["metadata"]["uid"] == "theirs"


def test_a_foreign_claim_of_the_workspaces_name_is_left_alone_and_named() -> None:
    world = World({"workspace": {"size": "1Gi"}})
    claim = {"metadata": {"name": "a-workspace", "namespace": "team", "uid": "theirs"}, "spec": {}}
    world.api.add("persistentvolumeclaims", claim, "team")

    world.reconcile()

    assert reason(world) == "WorkspaceExists"
    assert "workspace.claimName: a-workspace" in world.condition("Ready")["message"]
    assert world.pod is None


def foreign_service() -> Raw:
    return {"metadata": {"name": "a", "namespace": "team", "uid": "theirs"}, "spec": {"ports": []}}


def test_a_foreign_service_of_the_agents_name_is_left_alone_and_named() -> None:
    world = World({"ports": SERVICE_PORTS})
    world.api.add("services", foreign_service(), "team")

    for _ in range(4):
        world.deliver()
        world.reconcile()
        world.schedule()
        world.start()

    assert reason(world) == "NameTaken"
    assert kstatus(1, world.status) == "InProgress"
    assert world.api.objects["services", "team", "a"]["metadata"]["uid"] == "theirs"
    assert world.due is not None


@pytest.mark.parametrize(
    ("spec", "word"),
    [({"suspend": True}, "Current"), ({"maxExecutionTime": "5s", "restartPolicy": "Never"}, "Failed")],
)
def test_an_agent_that_is_not_to_run_does_not_miss_its_service(spec: Raw, word: str) -> None:
    world = World({"ports": SERVICE_PORTS, "restartPolicy": "Never"} | spec)
    world.api.add("services", foreign_service(), "team")

    for _ in range(6):
        world.deliver()
        world.reconcile()
        world.schedule()
        world.start()
        world.end(1)
        world.conclude()
    world.deliver()
    world.reconcile()

    assert kstatus(1, world.status) == word


def test_a_service_comes_and_goes_with_the_ports() -> None:
    world = World({"ports": SERVICE_PORTS})
    world.settle()
    made = world.api.objects["services", "team", "a"]["spec"]["ports"]

    world.set_spec(ports=[{"name": "web", "port": 9090}])
    world.settle()
    changed = world.api.objects["services", "team", "a"]["spec"]["ports"]
    world.set_spec(ports=[])
    world.settle()

    assert [port["name"] for port in made] == ["http"]
    assert [port["name"] for port in changed] == ["web"]
    assert ("services", "team", "a") not in world.api.objects


@pytest.mark.parametrize("place", ["services", "pods"])
def test_a_child_deleted_by_hand_comes_back(place: str) -> None:
    world = World({"ports": SERVICE_PORTS})
    world.settle()
    before = world.api.objects[place, "team", "a"]["metadata"]["uid"]
    world.api.remove((place, "team", "a"))

    world.settle()

    assert world.api.objects[place, "team", "a"]["metadata"]["uid"] != before
    assert reason(world) == "Running"


def test_labels_that_confine_a_pod_come_back_in_place() -> None:
    world = World({})
    world.settle()
    uid = world.pod["metadata"]["uid"] if world.pod else ""
    changed = {"ringfence.dev/confined": "no", "ringfence.dev/policy": "stolen", "team": "kept"}
    world.api.change(POD, lambda raw: raw["metadata"]["labels"].update(changed))

    world.settle()

    assert world.pod is not None
    assert world.pod["metadata"]["uid"] == uid
    assert world.pod["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "ringfence",
        "ringfence.dev/agent": "a",
        "ringfence.dev/confined": "true",
        "team": "kept",
    }


def test_another_policy_reaches_the_running_pod_by_its_label() -> None:
    world = World({})
    for name in ("p", "q"):
        world.api.add("securitypolicies", {"metadata": {"name": name, "namespace": "team"}, "spec": {}}, "team")
    world.settle()
    uid = world.pod["metadata"]["uid"] if world.pod else ""

    world.set_spec(securityPolicyRef={"name": "q"})
    world.settle()

    assert world.pod is not None
    assert world.pod["metadata"]["uid"] == uid
    assert world.pod["metadata"]["labels"]["ringfence.dev/policy"] == "q"
    assert ("networkpolicies", "team", "ringfence-policy-q") in world.api.objects


def test_a_retained_claim_loses_its_owner_in_place_and_gets_it_back() -> None:
    world = World({"workspace": {"size": "1Gi"}})
    world.settle()
    claim = ("persistentvolumeclaims", "team", "a-workspace")
    uid = world.pod["metadata"]["uid"] if world.pod else ""

    world.set_spec(workspace={"size": "1Gi", "reclaimPolicy": "Retain"})
    world.settle()
    kept = world.api.objects[claim]["metadata"]["ownerReferences"]
    world.set_spec(workspace={"size": "1Gi", "reclaimPolicy": "Delete"})
    world.settle()

    assert kept == []
    assert world.api.objects[claim]["metadata"]["ownerReferences"][0]["uid"] == world.agent["metadata"]["uid"]
    assert world.pod is not None
    assert world.pod["metadata"]["uid"] == uid


def test_an_agent_whose_probe_never_passes_says_so() -> None:
    world = World({})
    world.reconcile()
    world.deliver()
    world.wait(6)
    world.reconcile()
    assert reason(world) == "Starting"

    world.schedule()
    world.start(ready=False)
    world.wait(60)
    world.deliver()
    world.reconcile()

    assert reason(world) == "NotReady"
    assert world.status["podUID"] == world.pod["metadata"]["uid"] if world.pod else False


def test_a_foreign_network_policy_shows_on_an_agent_that_is_not_ready() -> None:
    world = World({})
    world.reconcile()
    world.schedule()
    world.start(ready=False)
    world.wait(5)
    world.deliver()
    world.reconcile()
    theirs = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    world.api.add("networkpolicies", {"metadata": {"name": "x", "namespace": "team"}, "spec": theirs}, "team")

    world.deliver()
    world.reconcile()

    assert world.condition("Enforced") | {"reason": "ForeignNetworkPolicy"} == world.condition("Enforced")


def stuck(*events: str) -> World:
    world = World({})
    world.reconcile()
    world.schedule()
    assert world.pod is not None
    creating = container_status({"waiting": {"reason": "ContainerCreating"}})
    world.api.change(POD, lambda raw: raw["status"].update(containerStatuses=creating))
    for number, message in enumerate(events):
        event = {
            "metadata": {"name": f"e{number}"},
            "message": message,
            "lastTimestamp": f"2026-11-23T12:00:0{number}Z",
        }
        world.api.add("events", event, "team")
    world.wait(10)
    world.deliver()
    world.reconcile()
    return world


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), "Starting"),
        (('MountVolume.SetUp failed: configmap "c" not found',), "ConfigNotFound"),
        (("old: not found", "Unable to attach or mount volumes: timed out"), "StartFailed"),
        (("references non-existent config key: k",), "ConfigNotFound"),
    ],
)
def test_a_pod_that_stays_in_creation_says_what_the_kubelet_says(events: tuple[str, ...], expected: str) -> None:
    world = stuck(*events)

    assert reason(world) == expected
    assert world.due is not None
    assert kstatus(1, world.status) == "InProgress"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("Unhealthy", "Readiness probe failed: connection refused", id="a probe that fails"),
        pytest.param("BackOff", "Back-off restarting failed container agent in pod a", id="a back-off"),
    ],
)
def test_what_says_not_why_a_pod_is_still_starting_is_no_reason(said: str, message: str) -> None:
    world = stuck()
    world.api.add("events", {"metadata": {"name": "p"}, "reason": said, "message": message}, "team")

    world.wait(20)
    world.reconcile()

    assert reason(world) == "Starting"


def test_a_pod_that_has_just_been_made_costs_no_question() -> None:
    world = World({})
    world.reconcile()
    world.schedule()
    world.deliver()
    world.reconcile()

    assert world.api.reads == []


def test_an_agent_that_is_being_deleted_is_left_alone() -> None:
    world = World({})
    world.api.change(AGENT, lambda raw: raw["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z"))

    world.deliver()
    world.reconcile()

    assert world.api.writes == []


def test_transitions_become_events_and_a_normal_start_does_not() -> None:
    world = World({"mode": "Task"})
    world.settle(ends_with=0)

    events = [raw["reason"] for place, raw in world.api.objects.items() if place[0] == "events"]
    assert events == ["Succeeded"]


def test_an_event_that_is_lost_loses_no_status() -> None:
    world = World({"mode": "Task"})
    world.api.refuse["create events"] = ForbiddenError("no")

    world.settle(ends_with=0)

    assert world.status["state"] == "Succeeded"
    before = list(world.api.writes)
    world.reconcile()
    assert world.api.writes == before


def test_a_restart_of_the_operator_writes_nothing() -> None:
    world = World({"ports": SERVICE_PORTS, "workspace": {"size": "1Gi"}})
    world.settle()
    before = list(world.api.writes)

    world.start_operator()
    world.settle()

    assert world.api.writes == before


UNDER_P = {"securityPolicyRef": {"name": "p"}}
SYSTEM = "ringfence-system"


class GatedWorld(World):
    """An agent under a policy that names a domain, and the policy's port set on a gateway of one replica."""

    def __init__(self, *, has_port_set: bool = True) -> None:
        self.fake = FakeGateway()
        super().__init__(UNDER_P, settings=Settings(), gateway=self.fake)
        self.api.add("securitypolicies", policy_body(network={"allowedDomains": [{"name": "a.io"}]}), "team")
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self.api.add("gatewaypods", {"metadata": {"name": "g1", "namespace": SYSTEM}, "status": status}, SYSTEM)
        self.fake.join("g1")
        if has_port_set:
            self.publish()
            self.fake.acknowledge("g1")

    def publish(self, *names: str) -> None:
        """Do what the policy's own pass does."""
        if ("services", SYSTEM, "p-00000") not in self.api.objects:
            body = build_port_set_service(0, ("team", "p"), namespace=SYSTEM, further={}, address="10.96.0.9")
            self.api.add("services", body, SYSTEM)
        version = " ".join(names) or "first"
        self.fake.publish(port_set(version, block=0, policy="team/p"), generation=1)

    def look(self, seconds: float = 0) -> tuple[str, str]:
        """Have a pass some time later, and return what the agent says of Ready and Enforced."""
        self.wait(seconds)
        self.fake.seconds += seconds
        self.deliver()
        self.reconcile()
        return self.condition("Ready").get("status", ""), self.condition("Enforced").get("status", "")


def test_a_pod_waits_for_its_port_set_and_is_made_with_its_address() -> None:
    world = GatedWorld(has_port_set=False)
    world.look(6)
    without, said = world.pod, reason(world)
    world.publish()
    world.fake.acknowledge("g1")

    world.settle()

    assert (without, said) == (None, "GatewayPending")
    assert world.pod is not None
    assert world.pod["spec"]["dnsConfig"] == {"nameservers": ["10.96.0.9"]}
    assert {each["name"] for each in world.pod["spec"]["containers"][0]["env"]} >= {"HTTPS_PROXY", "no_proxy"}
    assert reason(world) == "Running"


def test_an_agent_is_ready_only_once_the_gateway_has_its_policy_in_force() -> None:
    world = GatedWorld(has_port_set=False)
    world.publish()
    world.boot()
    before = world.look(6)
    said = reason(world)
    world.fake.acknowledge("g1")

    after = world.look(1)

    assert (before, said) == (("False", "False"), "GatewayPending")
    assert after == ("True", "True")
    assert kstatus(1, world.status) == "Current"


def test_a_change_on_its_way_writes_nothing_to_running_agents() -> None:
    world = GatedWorld()
    world.boot()
    world.look(6)
    before = list(world.api.writes)

    world.publish("b.io")
    on_its_way = world.look(1)
    is_due = world.due is not None and world.due <= world.now + timedelta(seconds=9)
    world.fake.acknowledge("g1")

    assert (on_its_way, is_due) == (("True", "True"), True)
    assert world.look(1) == ("True", "True")
    assert world.api.writes == before


def test_a_change_that_never_arrives_is_said_and_stops_no_pod() -> None:
    world = GatedWorld()
    world.boot()
    world.look(6)
    world.publish("b.io")

    found = world.look(11)

    assert found == ("False", "False")
    assert reason(world) == "GatewayPending"
    assert world.pod is not None
    assert "deletionTimestamp" not in world.pod["metadata"]


def test_a_settled_agent_under_a_new_leader_costs_no_write() -> None:
    world = GatedWorld()
    world.boot()
    world.look(6)
    before = list(world.api.writes)

    world.fake.ledger.reset()
    world.start_operator()
    early = world.look(0)
    world.fake.join("g1")
    world.publish()
    world.fake.acknowledge("g1")

    assert (early, world.look(3)) == (("True", "True"), ("True", "True"))
    assert world.api.writes == before


def test_a_policy_that_is_seen_a_moment_after_its_agent_was_never_missing() -> None:
    world = World({"securityPolicyRef": {"name": "p"}})

    world.reconcile()
    assert world.due == world.now + timedelta(seconds=POLICY_SECONDS)
    world.api.add("securitypolicies", policy_body(), "team")
    world.settle()

    assert reason(world) == "Running"
    assert "create events" not in world.api.writes


def test_a_policy_that_does_not_come_is_missed_soon() -> None:
    world = World({"securityPolicyRef": {"name": "p"}})

    world.reconcile()
    world.wait(POLICY_SECONDS)
    world.reconcile()

    assert reason(world) == "PolicyNotFound"
    assert world.api.writes[-2:] == ["replace agents/status", "create events"]
