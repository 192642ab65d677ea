import copy
import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from ringfence_operator.api.agent import Agent, AgentSpec, Isolation, Mode, RestartPolicy
from ringfence_operator.api.agent_status import AgentStatus, EffectiveValue, Source
from ringfence_operator.errors import InvalidSpecError

METADATA = {"name": "scout", "namespace": "lab", "uid": "u-1", "generation": 2, "managedFields": [{}]}


def agent(spec: dict[str, Any] | None = None, **body: Any) -> Agent:
    return Agent.from_body({"metadata": METADATA, "spec": {"image": "busybox", **(spec or {})}, **body})


def test_agent_is_found_by_namespace_and_name() -> None:
    assert agent().key == ("lab", "scout")


def test_agent_without_a_status_has_not_been_looked_at() -> None:
    assert agent().status == AgentStatus()
    assert agent().status.observed_generation == -1


def test_camel_case_arrives_as_snake_case_in_units_of_its_own() -> None:
    spec = agent(
        {
            "maxExecutionTime": "1h30m",
            "ttlAfterFinished": "0s",
            "resources": {"limits": {"cpu": "1000m", "ephemeral-storage": "1.5Gi"}},
            "files": [{"path": "/data", "configMap": {"name": "c"}}, {"path": "/a", "content": "x"}],
        }
    ).spec

    assert (spec.max_execution_time, spec.ttl_after_finished) == (5400, 0)
    assert spec.resources.limits.by_name() == {"cpu": "1", "ephemeral-storage": "1536Mi"}
    assert [file.is_directory for file in spec.files] == [True, False]


def test_unknown_fields_of_a_newer_version_are_dropped() -> None:
    assert agent({"warpDrive": {"name": "p"}}, status={"warpName": "p"}) == agent()


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        ({}, RestartPolicy.ALWAYS),
        ({"mode": "Task"}, RestartPolicy.ON_FAILURE),
        ({"mode": "Task", "restartPolicy": "Never"}, RestartPolicy.NEVER),
        ({"restartPolicy": "OnFailure"}, RestartPolicy.ON_FAILURE),
    ],
)
def test_restart_policy_follows_the_mode_where_it_is_not_given(spec: dict[str, Any], policy: RestartPolicy) -> None:
    assert agent(spec).spec.effective_restart_policy is policy


def test_isolation_levels_are_ordered_from_weak_to_strict() -> None:
    assert max(Isolation, key=lambda each: each.level) is Isolation.SECURE
    assert Isolation.NONE.level < Isolation.BASIC.level < Isolation.CONTAINER.level


def test_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        agent().spec.mode = Mode.TASK  # type: ignore[misc]


def test_agents_share_no_state() -> None:
    first, second = agent(), agent()
    first.spec.pod_metadata.labels["a"] = "b"
    first.spec.node_selector["a"] = "b"

    assert second.spec.pod_metadata.labels == {}
    assert second.spec.node_selector == {}


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"isolation": "Strong"}, "spec.isolation"),
        ({"maxExecutionTime": "2d"}, "spec.maxExecutionTime"),
        ({"image": ""}, "spec.image"),
    ],
)
def test_object_of_another_version_is_refused_by_name_of_the_field(spec: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidSpecError, match=place):
        agent(spec)


def test_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidSpecError) as caught:
        agent({"env": [{"name": "TOKEN", "value": {"secret": "hunter2"}}]})

    assert "spec.env.0.value" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_status_reads_back_as_it_was_written() -> None:
    limit = EffectiveValue(name="memory", value="1Gi", source=Source.CEILING)
    status = AgentStatus(observed_generation=2, pod_name="scout", pod_uid="p-1", restarts=1, effective=(limit,))

    body = status.to_body()

    assert body["podUID"] == "p-1"
    assert agent(status=body).status == status


def test_body_leaves_out_what_is_empty_and_spells_out_defaults() -> None:
    body = AgentSpec(image="busybox", args=("x",)).to_body()

    assert body["args"] == ["x"]
    assert body["backoff"] == {"limit": 6, "initialDelay": "10s", "maxDelay": "5m"}
    assert "command" not in body
    assert "workspace" not in body


def test_agent_can_be_copied_and_pickled() -> None:
    original = agent({"env": [{"name": "A"}]})

    assert copy.deepcopy(original) == original
    assert pickle.loads(pickle.dumps(original)) == original
