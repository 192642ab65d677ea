from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.resources.container import build_container
from ringfence_operator.settings import Settings
from tests.operator.resources.objects import effective_of, make_agent, make_policy


def build(policy: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    agent = make_agent(**spec)
    named = make_policy(**policy) if policy is not None else None
    return build_container(agent, effective_of(agent, named, settings=Settings(minimum_isolation=Isolation.NONE)), None)


def test_fields_that_the_agent_leaves_out_are_left_to_the_image() -> None:
    built = build()

    assert not {"command", "args", "workingDir", "envFrom", "ports", "readinessProbe"} & built.keys()


@pytest.mark.parametrize(
    ("policy", "spec", "home"),
    [
        ({}, {}, "/tmp"),
        ({}, {"workspace": {"size": "1Gi"}}, "/workspace"),
        ({"fileSystem": {"writablePaths": [{"path": "/cache"}]}}, {}, "/cache"),
        ({}, {"env": [{"name": "HOME", "value": "/srv"}]}, "/srv"),
        ({}, {"isolation": "Basic"}, None),
        ({}, {"isolation": "Basic", "workspace": {"size": "1Gi"}}, "/workspace"),
        ({}, {"isolation": "None", "workspace": {"size": "1Gi"}}, None),
    ],
)
def test_home_is_the_first_place_that_the_agent_may_write_to(
    policy: dict[str, Any], spec: dict[str, Any], home: str | None
) -> None:
    found = [each.get("value") for each in build(policy, **spec)["env"] if each["name"] == "HOME"]

    assert found == ([home] if home else [])


def test_the_users_variables_keep_their_order_because_later_ones_may_use_earlier_ones() -> None:
    names = ["B", "A", "C"]

    built = build(env=[{"name": name, "value": "x"} for name in names])["env"]

    assert [each["name"] for each in built] == ["HOME", *names]


def test_isolation_none_is_the_images_own_user_and_nothing_else() -> None:
    assert build(isolation="None")["securityContext"] == {"readOnlyRootFilesystem": False}


@pytest.mark.parametrize(("level", "is_read_only"), [("Basic", False), ("Container", True), ("Secure", True)])
def test_the_root_file_system_is_as_effective(level: str, is_read_only: bool) -> None:
    assert build(isolation=level)["securityContext"]["readOnlyRootFilesystem"] is is_read_only
