"""After an installation, Helm says what to do next, and which values keep agents from running."""

from pathlib import Path

import pytest
import yaml

from ringfence_operator.api.connector import Connector
from tests.chart.chart import Body, nested, notes, objects
from tests.chart.demo_rows import DEMO
from tests.chart.everything import everything

MIND = "Mind, with these values:"


def test_default_values_say_what_to_do_next_and_warn_of_nothing(tmp_path: Path) -> None:
    said = notes({}, tmp_path)

    for deployment in ("ringfence-operator", "ringfence-gateway"):
        assert f"kubectl rollout status --namespace ringfence-system deployment/{deployment}" in said
    assert "kubectl label namespace ringfence-system pod-security.kubernetes.io/enforce=restricted" in said
    assert "network_probe" in said
    assert MIND not in said


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        (nested("operator.replicas", 0), "operator.replicas is 0: no agent is started"),
        (nested("gateway.replicas", 0), "gateway.replicas is 0: no agent can run whose policy has names"),
        (nested("crds.enabled", False), "the operator cannot run, nor any agent"),
        (
            {"settings": {"minimumIsolation": "Secure", "sandboxedRuntimeClasses": []}},
            "sandboxedRuntimeClasses is empty: no agent can run",
        ),
        (
            nested("settings.minimumIsolation", "Secure"),
            "unless one of the RuntimeClasses gvisor, kata is",
        ),
        (nested("settings.minimumIsolation", "None"), "agents may run without isolation"),
        (nested("rbac.namespaces", ["research"]), "agents can run in research only"),
        (nested("settings.defaultPolicy", "policies/base"), "cannot run until SecurityPolicy policies/base is there"),
        (nested("sidecar.enabled", False), "agents with connectors cannot run"),
        (nested("settings.egressBackend", "none"), "policies that name domains are refused, and agents under them"),
        (nested("settings.egressBackend", "cilium"), "this cluster has no cilium.io/v2"),
        (
            {"settings": {"redisUrl": "redis://cache:6379", "redisService": "cache/redis"}},
            "until Secret ringfence-redis has the key administrator",
        ),
        (
            {"settings": {"redisUrl": "redis+sentinel://cache:26379/main?tls", "redisService": "cache/redis"}},
            "until Secret ringfence-redis has the keys administrator and sentinel",
        ),
        (nested("settings.collectorService", "telemetry/collector"), "see that Secret ringfence-telemetry has"),
        (nested("settings.auditStreamService", "telemetry/rabbitmq"), "see that Secret ringfence-telemetry has"),
        (nested("settings.allowUnenforcedNetwork", True), "agents run although nothing may confine their network"),
        (nested("settings.probeImage", ""), "nobody looks whether they are"),
        (nested("demo.enabled", True), "demo.enabled: for trying it out only"),
        (nested("guard.enabled", False), "a NetworkPolicy or a label of anybody's can open egress to agents"),
    ],
)
def test_value_that_keeps_agents_from_running_or_lets_them_loose_is_told(
    values: Body, warning: str, tmp_path: Path
) -> None:
    told = notes(values, tmp_path).partition(MIND)[2].strip().splitlines()

    assert len(told) == 1
    assert warning in told[0]


def test_redis_that_no_sidecar_may_reach_is_told(tmp_path: Path) -> None:
    assert "until settings.redisService or redisCidrs opens the way" in notes(
        nested("settings.redisUrl", "redis://cache:6379"), tmp_path
    )


def test_connector_that_the_notes_show_is_one_and_leads_to_the_broker_that_is_there(tmp_path: Path) -> None:
    said = notes(DEMO, tmp_path)

    shown = yaml.safe_load(said.partition("<<'END'\n")[2].partition("\nEND\n")[0])
    connector = Connector.from_body(shown | {"metadata": shown["metadata"] | {"uid": "u"}})
    service = connector.endpoints[0].service
    assert service is not None
    (found,) = (each for each in objects(DEMO) if (each["kind"], each["metadata"]["name"]) == ("Service", service.name))
    assert (service.namespace, service.port) == (found["metadata"]["namespace"], found["spec"]["ports"][0]["port"])
    assert f"get secret rabbitmq --namespace {service.namespace}" in said
    assert f"secret generic {connector.secret} --namespace {connector.metadata.namespace}" in said


def test_what_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    said = notes({"settings": {"egressBackend": "none", "probeImage": ""}}, tmp_path)

    assert "deployment/ringfence-gateway" not in said
    assert "network_probe" not in said


def test_everything_at_once_can_be_said(tmp_path: Path) -> None:
    assert MIND in notes(everything(), tmp_path)
