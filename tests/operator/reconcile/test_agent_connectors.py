"""Agents with connectors, from their creation to what becomes of them when something that they need changes."""

from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.reconcile.agent import POLICY_SECONDS, QUIET_SECONDS
from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.settings import Settings
from tests.operator.reconcile.fake_sidecars import FakeSidecars
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.world import AGENT, World
from tests.operator.resources.connectors import broker_service, connector_body, rabbitmq

Raw = dict[str, Any]
IMAGE = "registry.example/sidecar:1"
SETTINGS = Settings(egress_backend="none", sidecar_image=IMAGE)
USES: Raw = {"connectors": [{"name": "c"}]}
SYSTEM = "ringfence-system"
CONNECTOR = ("connectors", "team", "c")
CONTROL = ("services", SYSTEM, labels.CONTROL)
FROM_SECRET: Raw = {"envFrom": [{"secretRef": {"name": "rabbit"}}]}


class Connected(World):
    """A world with a control server, and a connector unless a test says otherwise."""

    def __init__(
        self, spec: Raw | None = None, *, settings: Settings = SETTINGS, connector: Raw | None = None, **changes: Any
    ) -> None:
        self.told = FakeSidecars()
        super().__init__(spec or USES, settings=settings, sidecars=self.told)
        control = {"name": labels.CONTROL, "namespace": SYSTEM}
        self.api.add("services", {"metadata": control, "spec": {"clusterIP": "10.96.0.44", "selector": {}}}, SYSTEM)
        self.api.add("services", broker_service(), "data")
        if connector != {}:
            self.api.add("connectors", connector_body(spec=connector, **changes), "team")
        self.deliver()

    def run(self) -> None:
        """Have the agent running, with an address, and looked at."""
        self.settle()
        if self.pod:
            self._set(podIP="10.244.0.9")
        self.settle()

    def look(self) -> None:
        """Have the agent looked at for longer than anything waits to be told."""
        for _ in range(3):
            self.wait(QUIET_SECONDS)
            self.deliver()
            self.reconcile()
        self.deliver()

    def restart_as(self, settings: Settings) -> None:
        """Have another operator lead, with other settings."""
        self.settings = settings
        self.start_operator()

    @property
    def ready(self) -> tuple[str, str]:
        found = self.condition("Ready")
        return found["status"], found["reason"]

    @property
    def configuration(self) -> Raw:
        (found,) = self.told.served.values()
        return found[1]


def test_the_pod_of_an_agent_with_connectors_has_a_sidecar_and_what_it_needs_was_there_before() -> None:
    world = Connected()

    world.run()

    order = [(kind, raw["metadata"]["name"]) for verb, kind, raw in world.api.log if verb == "ADDED"]
    before = order[: order.index(("pods", "a"))]
    assert world.ready == ("True", "Running")
    assert world.pod is not None
    assert [each["name"] for each in world.pod["spec"]["initContainers"]] == ["sidecar"]
    for each in (
        ("configmaps", "ringfence-authority"),
        ("networkpolicies", "ringfence-default-deny"),
        ("networkpolicies", "ringfence-sidecars"),
        ("networkpolicies", "ringfence-connector-c"),
    ):
        assert each in before
    assert world.api.objects["configmaps", "team", "ringfence-authority"]["data"] == {"ca.crt": "PEM"}


def test_the_next_agent_of_the_namespace_costs_two_writes_and_none_once_it_runs() -> None:
    world = Connected()
    world.run()
    world.api.remove(AGENT)
    world.delete_pod()
    world.finish_termination()
    world.deliver()
    world.api.writes.clear()
    body = {"metadata": {"name": "a", "namespace": "team"}, "spec": {"image": "x", **USES}}
    world.api.add("agents", body, "team")

    world.run()
    as_new = list(world.api.writes)
    world.dirty = True
    world.settle()
    world.start_operator()
    world.settle()

    assert as_new == world.api.writes == ["create pods", "replace agents/status"]


def test_the_broker_of_the_audits_stream_is_opened_to_sidecars_and_told_to_them() -> None:
    stream = {"audit_stream_service": "data/rabbit", "audit_stream_port": 5671, "audit_stream_credential": "/x"}
    world = Connected(settings=SETTINGS.model_copy(update=stream))

    world.run()

    assert world.pod is not None
    env = world.pod["spec"]["initContainers"][0]["env"]
    egress = world.api.objects["networkpolicies", "team", "ringfence-sidecars"]["spec"]["egress"]
    assert {"name": "RINGFENCE_SIDECAR_AUDIT", "value": "stdout,stream"} in env
    assert [each["to"][0].get("podSelector") for each in egress][1:] == [{"matchLabels": {"app": "rabbit"}}]


def test_the_sidecar_is_served_once_its_pod_has_an_address() -> None:
    world = Connected()

    world.settle()
    without = dict(world.told.served)
    world.run()

    assert without == {}
    assert world.pod is not None
    assert list(world.told.served) == [world.pod["metadata"]["uid"]]
    assert [each["name"] for each in world.configuration["connectors"]] == ["c"]
    assert world.configuration["connectors"][0]["endpoints"][0]["address"] == "10.96.0.9"


def test_a_change_of_the_connector_is_served_and_replaces_no_pod() -> None:
    world = Connected()
    world.run()
    pods = world.api.writes.count("create pods")

    world.api.change(CONNECTOR, lambda it: it["spec"].update(rabbitmq(limits={"prefetch": 1})), is_spec=True)
    world.dirty = True
    world.settle()

    assert world.configuration["connectors"][0]["limits"]["prefetch"] == 1
    assert world.configuration["connectors"][0]["generation"] == 2
    assert world.api.writes.count("create pods") == pods
    assert world.condition("SidecarOutdated") == {}


def test_an_agent_waits_for_a_connector_that_does_not_exist() -> None:
    world = Connected(connector={})
    world.wait(POLICY_SECONDS)

    world.reconcile()
    waiting = world.ready, world.pod, kstatus(1, world.status)
    world.api.add("connectors", connector_body(), "team")
    world.run()

    assert waiting == (("False", "ConnectorNotFound"), None, "InProgress")
    assert world.ready == ("True", "Running")


def test_a_connector_that_is_seen_a_moment_after_its_agent_costs_no_write_more() -> None:
    world = Connected(connector={})
    world.reconcile()
    at_first = list(world.api.writes)

    world.api.add("connectors", connector_body(), "team")
    world.run()

    assert at_first == []
    assert world.api.writes.count("replace agents/status") == 1
    assert world.ready == ("True", "Running")


def test_an_agent_that_the_selector_does_not_match_gets_no_pod() -> None:
    world = Connected(selector={"matchLabels": {"tier": "gold"}})

    world.reconcile()
    refused = world.ready, world.pod, kstatus(1, world.status)
    world.api.change(AGENT, lambda it: it["metadata"].update(labels={"tier": "gold"}))
    world.run()

    assert refused == (("False", "ConnectorNotPermitted"), None, "Failed")
    assert world.ready == ("True", "Running")


@pytest.mark.parametrize("how", ["deleted", "not permitted any more"])
def test_a_connector_that_is_taken_away_is_closed_to_a_running_agent_which_goes_on(how: str) -> None:
    world = Connected()
    world.run()

    if how == "deleted":
        world.api.remove(CONNECTOR)
    else:
        selector = {"matchLabels": {"tier": "gold"}}
        world.api.change(CONNECTOR, lambda it: it["spec"].update(agentSelector=selector), is_spec=True)
    world.dirty = True
    world.settle(rounds=20)

    assert world.configuration["connectors"] == []
    assert world.pod is not None
    assert "connector.ringfence.dev/c" not in world.pod["metadata"]["labels"]
    assert world.pod["metadata"]["labels"]["ringfence.dev/sidecar"] == "true"
    assert world.ready[1] == ("ConnectorNotFound" if how == "deleted" else "ConnectorNotPermitted")


@pytest.mark.parametrize(
    "spec",
    [
        FROM_SECRET,
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "rabbit", "key": "password"}}}]},
        {"imagePullSecrets": [{"name": "rabbit"}]},
    ],
    ids=["envFrom", "env", "imagePullSecrets"],
)
def test_an_agent_that_names_a_connectors_secret_gets_no_pod(spec: Raw) -> None:
    world = Connected(spec)

    world.reconcile()

    assert world.ready == ("False", "SecretReserved")
    assert world.pod is None
    assert "Secret rabbit is the credential of Connector c" in world.condition("Ready")["message"]


def test_a_running_agent_is_stopped_when_a_connector_with_its_secret_appears() -> None:
    world = Connected(
        {**USES, **FROM_SECRET}, connector=rabbitmq(auth={"secretName": "own", "password": {"user": "u"}})
    )
    world.run()
    ran = world.ready

    world.api.add("connectors", connector_body("other"), "team")
    world.dirty = True
    world.settle(rounds=20)

    assert ran == ("True", "Running")
    assert world.ready == ("False", "SecretReserved")
    assert world.pod is None
    assert world.told.served == {}


def test_a_secret_of_a_connector_in_another_namespace_is_nobody_elses() -> None:
    world = Connected(FROM_SECRET, connector={})
    world.api.add("connectors", connector_body(namespace="other"), "other")

    world.run()

    assert world.ready == ("True", "Running")


def test_without_a_sidecar_image_agents_with_connectors_are_refused_and_others_run() -> None:
    refused = Connected(settings=Settings(egress_backend="none"))
    refused.wait(POLICY_SECONDS)
    other = Connected({"args": []}, settings=Settings(egress_backend="none"))

    refused.reconcile()
    other.run()

    assert refused.ready == ("False", "SidecarUnavailable")
    assert "RINGFENCE_OPERATOR_SIDECAR_IMAGE" in refused.condition("Ready")["message"]
    assert other.ready == ("True", "Running")


def test_without_a_control_server_the_agent_waits() -> None:
    world = Connected()
    world.api.remove(CONTROL)
    world.wait(POLICY_SECONDS)
    world.deliver()

    world.reconcile()

    assert world.ready == ("False", "SidecarUnavailable")
    assert f"Service {labels.CONTROL}" in world.condition("Ready")["message"]
    assert world.pod is None


def test_without_the_authority_the_agent_waits() -> None:
    world = Connected()
    world.view.control.authority = ""
    world.wait(POLICY_SECONDS)

    world.reconcile()
    waiting = world.ready, world.pod
    world.view.control.authority = "PEM"
    world.run()

    assert waiting == (("False", "SidecarUnavailable"), None)
    assert world.ready == ("True", "Running")


def test_a_leader_that_does_not_know_credentials_yet_tells_no_sidecar_of_less() -> None:
    world = Connected()
    world.run()
    world.told.served.clear()
    world.view.control.authority = ""

    world.reconcile()
    before = dict(world.told.served)
    world.view.control.authority = "PEM"
    world.reconcile()

    assert before == {}
    assert len(world.told.served) == 1


def test_another_authority_reaches_the_namespace() -> None:
    world = Connected()
    world.run()

    world.view.control.authority = "OTHER"
    world.dirty = True
    world.settle()

    assert world.api.objects["configmaps", "team", "ringfence-authority"]["data"] == {"ca.crt": "OTHER"}


def test_a_new_sidecar_image_replaces_no_pod_and_the_agent_says_so() -> None:
    world = Connected()
    world.run()
    pods = world.api.writes.count("create pods")

    world.restart_as(SETTINGS.model_copy(update={"sidecar_image": "registry.example/sidecar:2"}))
    world.settle()

    assert world.api.writes.count("create pods") == pods
    assert world.ready == ("True", "Running")
    outdated = world.condition("SidecarOutdated")
    assert (outdated["status"], outdated["reason"]) == ("True", "SidecarOutdated")
    assert "registry.example/sidecar:2" in outdated["message"]
    assert "spec.sidecar.update: Immediately" in outdated["message"]


def test_a_field_rolls_the_new_sidecar_out() -> None:
    world = Connected()
    world.run()
    pods = world.api.writes.count("create pods")
    world.restart_as(SETTINGS.model_copy(update={"sidecar_image": "registry.example/sidecar:2"}))
    world.settle()

    world.set_spec(sidecar={"update": "Immediately"})
    world.run()
    world.dirty = True
    world.settle()

    assert world.api.writes.count("create pods") == pods + 1
    assert world.pod is not None
    assert world.pod["spec"]["initContainers"][0]["image"] == "registry.example/sidecar:2"
    assert world.condition("SidecarOutdated") == {}
    assert world.ready == ("True", "Running")


def test_another_secret_of_the_connector_leaves_the_pod_and_the_agent_says_so() -> None:
    world = Connected()
    world.run()
    pods = world.api.writes.count("create pods")

    other = rabbitmq(auth={"secretName": "new", "password": {"user": "u"}})
    world.api.change(CONNECTOR, lambda it: it["spec"].update(other), is_spec=True)
    world.dirty = True
    world.settle()

    assert world.api.writes.count("create pods") == pods
    assert "made with another Secret" in world.condition("SidecarOutdated")["message"]


def test_a_sidecar_that_cannot_be_started_is_told_of_as_the_sidecar() -> None:
    world = Connected()
    world.reconcile()
    world.deliver()
    world.schedule()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "registry.example/x"'}}
    world._set(initContainerStatuses=[{"name": "sidecar", "state": waiting}])
    world.wait(20)
    world.deliver()

    world.reconcile()

    assert world.ready == ("False", "SidecarFailed")
    assert "RINGFENCE_OPERATOR_SIDECAR_IMAGE" in world.condition("Ready")["message"]


def test_a_sidecar_that_is_not_ready_is_told_of_as_the_sidecar() -> None:
    world = Connected()
    world.boot()
    world.start(ready=False)
    world._set(initContainerStatuses=[{"name": "sidecar", "ready": False, "state": {"running": {}}}])
    world.wait(20)
    world.deliver()

    world.reconcile()

    assert world.ready == ("False", "NotReady")
    assert "its sidecar is not ready" in world.condition("Ready")["message"]


def test_a_suspended_agent_has_no_outdated_sidecar() -> None:
    world = Connected()
    world.run()
    world.restart_as(SETTINGS.model_copy(update={"sidecar_image": "registry.example/sidecar:2"}))
    world.settle()

    world.set_spec(suspend=True)
    world.settle()

    assert world.status["state"] == "Suspended"
    assert world.condition("SidecarOutdated") == {}


def test_an_agent_is_not_ready_before_its_sidecar_has_looked_at_the_network_from_inside() -> None:
    world = Connected()
    world.told.found = None
    world.told.has_heard = False
    world.boot()
    world.look()
    unheard = world.ready

    world.told.has_heard, world.told.found = True, Inside(closed=True)
    world.settle()

    assert unheard == ("False", "UnverifiedInside")
    assert world.ready[0] == "True"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(Inside(closed=False), "CanaryReached", id="open"),
        pytest.param(Inside(closed=True, way_out=False), "WayOutClosed", id="no way out"),
    ],
)
def test_what_the_sidecar_finds_amiss_makes_the_agent_unready(found: Inside, reason: str) -> None:
    world = Connected()
    world.run()
    before = world.ready

    world.told.found = found
    world.look()

    assert before[0] == "True"
    assert world.ready == ("False", reason)
    assert world.condition("Enforced")["status"] == "False"


def test_where_the_operator_was_told_to_allow_an_open_network_an_open_one_is_no_news() -> None:
    world = Connected(settings=SETTINGS.model_copy(update={"allow_unenforced_network": True}))
    world.told.found = Inside(closed=False)

    world.run()

    assert world.ready[0] == "True"


def test_a_new_leader_that_has_heard_of_no_sidecar_yet_leaves_ready_what_is() -> None:
    world = Connected()
    world.run()
    world.told.has_heard = False
    writes = len(world.api.writes)

    world.restart_as(SETTINGS)
    world.settle()

    assert world.ready[0] == "True"
    assert len(world.api.writes) == writes


def test_a_sidecar_of_a_version_that_does_not_look_holds_nothing_up() -> None:
    world = Connected()
    world.told.found = None

    world.run()

    assert world.ready[0] == "True"
