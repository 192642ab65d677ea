"""What an execution is made of."""

import sys
from pathlib import Path

import pytest

from ringfence.errors import ExecutionError
from ringfence.template import manifest_of, name_for
from ringfence_kube.throwaway import Wish, agent_body, waiting_body

AGENT = {
    "kind": "Agent",
    "metadata": {"name": "job", "namespace": "lab", "labels": {"team": "x"}, "annotations": {"a": "b"}},
    "spec": {
        "image": "example/old:1",
        "mode": "Service",
        "maxExecutionTime": "10m",
        "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    },
}
TWO = """
kind: SecurityPolicy
---
kind: Agent
metadata: {name: job}
"""


def test_a_mapping_is_a_manifest_and_a_path_is_a_file_with_one_agent(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(TWO)

    assert manifest_of(AGENT) is AGENT
    assert manifest_of(tmp_path / "job.yaml") == manifest_of(str(tmp_path / "job.yaml"))
    assert manifest_of(tmp_path / "job.yaml")["metadata"] == {"name": "job"}
    assert manifest_of(None) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [("kind: Quota", "0 found"), ("kind: Agent\n---\nkind: Agent", "2 found"), ("a: [", "is no YAML"), ("", "0 found")],
)
def test_a_file_without_one_agent_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "it.yaml").write_text(text)

    with pytest.raises(ValueError, match=words):
        manifest_of(tmp_path / "it.yaml")


def test_without_the_package_that_reads_yaml_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ExecutionError, match=r"ringfence\[outside\]"):
        manifest_of(tmp_path / "it.yaml")


def test_no_two_executions_of_a_template_have_the_same_name() -> None:
    first, second = name_for(AGENT), name_for(AGENT)

    assert first != second
    assert first.startswith("job-")


def test_a_name_that_is_as_long_as_can_be_leaves_room_for_what_we_add() -> None:
    name = name_for({"metadata": {"name": "a" * 55 + "-" + "b" * 7}})

    assert len(name) <= 63
    assert name.startswith("a" * 55 + "-")
    assert "--" not in name


def test_what_is_given_holds_in_place_of_what_the_template_says() -> None:
    wish = Wish(image="example/new:2", memory="64Mi", labels={"of": "y"}, timeout="1m", manifest=AGENT)

    body = agent_body(wish, "job-1", "lab", mark="m")

    assert body["metadata"] == {
        "name": "job-1",
        "namespace": "lab",
        "labels": {"team": "x", "of": "y"},
        "annotations": {"a": "b", "ringfence-run": "m"},
    }
    assert body["spec"] == {
        "image": "example/new:2",
        "mode": "Task",
        "restartPolicy": "Never",
        "backoff": {"limit": 0},
        "maxExecutionTime": "1m",
        "ttlAfterFinished": "5m",
        "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
    }


def test_the_templates_own_lifetime_holds_unless_another_is_given() -> None:
    assert agent_body(Wish(manifest=AGENT), "it", "lab", mark="m")["spec"]["maxExecutionTime"] == "10m"


def test_an_agent_without_a_command_waits_and_one_with_a_command_has_that() -> None:
    plain = agent_body(Wish(image="x"), "it", "lab", mark="m")
    own = agent_body(Wish(image="x", command=["serve"]), "it", "lab", mark="m")

    assert waiting_body(plain)["spec"]["command"][0] == "sh"
    assert waiting_body(own)["spec"]["command"] == ["serve"]
