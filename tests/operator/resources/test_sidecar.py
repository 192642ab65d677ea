import json
from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.resources.pod import build_pod, pod_labels
from ringfence_operator.resources.sidecar import Sidecar, build_sidecar
from ringfence_operator.resources.way_out import WayOut
from ringfence_operator.settings import Settings
from tests.operator.resources.connectors import IDENTITY, make_connector, rabbitmq, snowflake
from tests.operator.resources.objects import effective_of, make_agent
from tests.operator.resources.snapshot import assert_snapshot

Raw = dict[str, Any]
ANY_ISOLATION = Settings(minimum_isolation=Isolation.NONE)
MQ = make_connector("mq", rabbitmq())
SNOW = make_connector("snow", snowflake(auth=IDENTITY))
SIDECAR = Sidecar("registry.example/sidecar:1", "10.96.0.44", (MQ, SNOW))


def pod_of(sidecar: Sidecar | None = SIDECAR, *, way_out: WayOut | None = None, **spec: Any) -> Raw:
    agent = make_agent(connectors=[{"name": "mq"}, {"name": "snow"}], **spec)
    return build_pod(agent, None, effective_of(agent, settings=ANY_ISOLATION), way_out=way_out, sidecar=sidecar)


@pytest.mark.parametrize("level", ["None", "Container"])
def test_the_pod_of_an_agent_with_connectors_is_as_last_looked_at(level: str) -> None:
    assert_snapshot(f"pod-sidecar-{level.lower()}", pod_of(isolation=level))


def test_the_agents_container_mounts_nothing_of_the_sidecars_and_no_token() -> None:
    spec = pod_of()["spec"]
    (agent,), (sidecar,) = spec["containers"], spec["initContainers"]

    of_agent = {each["name"] for each in agent["volumeMounts"]}
    of_sidecar = {each["name"] for each in sidecar["volumeMounts"]}
    kinds = {each["name"]: each.keys() - {"name"} for each in spec["volumes"]}

    assert not of_agent & of_sidecar
    assert of_agent | of_sidecar == kinds.keys()
    assert {name for name, kind in kinds.items() if kind & {"secret", "projected"}} <= of_sidecar
    assert spec["automountServiceAccountToken"] is False


def test_the_agent_is_told_where_its_sidecar_is_and_may_say_otherwise() -> None:
    usual = pod_of()["spec"]["containers"][0]["env"]
    other = pod_of(env=[{"name": "RINGFENCE_MCP_URL", "value": "x"}])["spec"]["containers"][0]["env"]

    assert {"name": "RINGFENCE_MCP_URL", "value": "http://127.0.0.1:8811/mcp"} in usual
    assert {"name": "RINGFENCE_API_URL", "value": "http://127.0.0.1:8811/v1"} in usual
    assert [each["value"] for each in other if each["name"] == "RINGFENCE_MCP_URL"] == ["x"]


def test_the_sidecar_runs_as_another_user_than_the_agent_with_nothing_to_gain() -> None:
    pod = pod_of()["spec"]
    (sidecar,) = pod["initContainers"]

    assert sidecar["securityContext"]["runAsUser"] != pod["securityContext"]["runAsUser"]
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_an_agent_without_connectors_gets_no_sidecar() -> None:
    agent = make_agent()

    pod = build_pod(agent, None, effective_of(agent))

    assert "initContainers" not in pod["spec"]
    assert not [key for key in pod["metadata"]["labels"] if "sidecar" in key or "connector" in key]
    assert "RINGFENCE_API_URL" not in [each["name"] for each in pod["spec"]["containers"][0]["env"]]


def test_each_connector_that_may_be_used_is_a_label_of_the_pod() -> None:
    agent = make_agent(connectors=[{"name": "mq"}, {"name": "snow"}])

    found = pod_labels(agent, effective_of(agent), cluster_policy=None, connectors=["mq"])

    assert found["ringfence.dev/sidecar"] == found["connector.ringfence.dev/mq"] == "true"
    assert "connector.ringfence.dev/snow" not in found


def test_a_control_server_with_an_ipv6_address_is_spelt_as_a_url_needs_it() -> None:
    env = build_sidecar(Sidecar("i", "fd00::1", ()))["env"]

    assert {"name": "RINGFENCE_SIDECAR_CONTROL", "value": "https://[fd00::1]:18443"} in env


def test_traces_and_audit_lines_go_to_the_collector_where_there_is_one() -> None:
    without = build_sidecar(SIDECAR)["env"]

    env = build_sidecar(Sidecar("i", "10.96.0.44", (), "http://10.96.0.50:4318"))["env"]

    assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://10.96.0.50:4318"} in env
    assert {"name": "RINGFENCE_SIDECAR_AUDIT", "value": "stdout,otlp"} in env
    assert not [each for each in without if "OTLP" in each["name"]]


def test_audit_lines_go_to_a_stream_where_there_is_one() -> None:
    alone = build_sidecar(Sidecar("i", "10.96.0.44", (), has_stream=True))["env"]
    both = build_sidecar(Sidecar("i", "10.96.0.44", (), "http://10.96.0.50:4318", has_stream=True))["env"]

    assert {"name": "RINGFENCE_SIDECAR_AUDIT", "value": "stdout,stream"} in alone
    assert not [each for each in alone if "OTLP" in each["name"]]
    assert {"name": "RINGFENCE_SIDECAR_AUDIT", "value": "stdout,otlp,stream"} in both


@pytest.mark.parametrize(
    "other",
    [
        Sidecar("registry.example/sidecar:2", "10.96.0.44", (MQ, SNOW)),
        Sidecar("registry.example/sidecar:1", "10.96.0.45", (MQ, SNOW)),
        Sidecar("registry.example/sidecar:1", "10.96.0.44", (MQ, SNOW), "http://10.96.0.50:4318"),
        Sidecar("registry.example/sidecar:1", "10.96.0.44", (MQ, SNOW), has_stream=True),
        Sidecar(
            "registry.example/sidecar:1",
            "10.96.0.44",
            (make_connector("mq", rabbitmq(auth={"secretName": "new", "password": {"user": "u"}})), SNOW),
        ),
    ],
    ids=["image", "control server", "collector", "stream", "Secret"],
)
def test_what_a_running_sidecar_cannot_be_given_makes_another_hash(other: Sidecar) -> None:
    assert other.hash != SIDECAR.hash


def test_what_is_told_over_the_control_server_makes_no_other_hash() -> None:
    changed = make_connector("mq", rabbitmq(limits={"prefetch": 1}, permissions={"exchanges": []}))

    assert Sidecar(SIDECAR.image, SIDECAR.control, (changed, SNOW)).hash == SIDECAR.hash


def test_the_connectors_are_fields_of_the_user_and_their_content_is_not() -> None:
    with_them, without = pod_of()["metadata"]["annotations"], make_agent()
    other = build_pod(without, None, effective_of(without))["metadata"]["annotations"]

    assert with_them["ringfence.dev/spec-hash"] != other["ringfence.dev/spec-hash"]
    assert with_them["ringfence.dev/spec-hash"] == pod_of(None)["metadata"]["annotations"]["ringfence.dev/spec-hash"]


def test_the_sidecar_of_a_confined_agent_is_told_what_to_look_at_from_inside() -> None:
    way = WayOut("10.96.0.60")

    confined, open_ = (
        {
            each["name"]: each.get("value")
            for each in pod_of(way_out=way, isolation=level)["spec"]["initContainers"][0]["env"]
        }
        for level in ("Basic", "None")
    )

    assert confined["RINGFENCE_SIDECAR_CANARY"] == "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"
    assert confined["RINGFENCE_SIDECAR_WAY_OUT"] == "10.96.0.60:3128"
    assert not {"RINGFENCE_SIDECAR_CANARY", "RINGFENCE_SIDECAR_WAY_OUT"} & open_.keys()


def test_an_agent_with_another_way_out_has_no_outdated_sidecar() -> None:
    assert "WAY_OUT" not in json.dumps(build_sidecar(SIDECAR))
