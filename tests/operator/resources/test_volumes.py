from typing import Any

import pytest

from ringfence_operator.resources import volumes
from tests.operator.resources.objects import effective_of, make_agent, make_policy

FILES: list[dict[str, Any]] = [
    {"path": "/etc/a", "content": "A"},
    {"path": "/etc/b", "configMap": {"name": "b"}},
    {"path": "/etc/c", "content": ""},
    {"path": "/etc/d", "configMap": {"name": "d", "key": "k"}},
]


@pytest.mark.parametrize(
    ("workspace", "name", "is_adopted"),
    [
        (None, None, False),
        ({"size": "1Gi"}, "a-workspace", False),
        ({"claimName": "kept"}, "kept", True),
    ],
)
def test_the_claim_is_the_agents_own_or_one_asked_for_by_name(
    workspace: Any, name: str | None, is_adopted: bool
) -> None:
    agent = make_agent(workspace=workspace)

    assert volumes.claim_name(agent) == name
    assert volumes.is_adopted(agent) is is_adopted


def test_inline_files_travel_as_annotations_by_their_place_in_the_list() -> None:
    assert volumes.file_annotations(make_agent(files=FILES)) == {
        "ringfence.dev/file-0": "A",
        "ringfence.dev/file-2": "",
    }


@pytest.mark.parametrize("spec", [{}, {"files": FILES}, {"files": FILES, "workspace": {"size": "1Gi"}}])
def test_every_mount_has_its_volume_and_every_volume_a_mount(spec: dict[str, Any]) -> None:
    agent = make_agent(**spec)
    policy = make_policy(fileSystem={"writablePaths": [{"path": "/x"}, {"path": "/y"}]})
    found = effective_of(agent, policy)

    mounted = {mount["name"] for mount in volumes.build_mounts(agent, found)}
    names = [volume["name"] for volume in volumes.build_volumes(agent, found)]

    assert mounted == set(names)
    assert len(names) == len(set(names))


def test_files_are_read_only_and_each_at_its_path() -> None:
    agent = make_agent(files=FILES)

    mounts = {mount["mountPath"]: mount for mount in volumes.build_mounts(agent, effective_of(agent))}

    assert all(mounts[file["path"]]["readOnly"] is True for file in FILES)
    assert mounts["/etc/a"]["subPath"] == "file-0"
    assert mounts["/etc/c"]["subPath"] == "file-2"
    assert mounts["/etc/d"]["subPath"] == "k"
    assert "subPath" not in mounts["/etc/b"]


def test_every_inline_file_mount_finds_its_item_in_the_volume() -> None:
    agent = make_agent(files=FILES)

    volume = next(each for each in volumes.build_volumes(agent, effective_of(agent)) if each["name"] == "inline-files")

    items = {item["path"]: item["fieldRef"]["fieldPath"] for item in volume["downwardAPI"]["items"]}
    assert items == {
        "file-0": "metadata.annotations['ringfence.dev/file-0']",
        "file-2": "metadata.annotations['ringfence.dev/file-2']",
    }


def test_the_workspace_is_the_first_place_to_write_to() -> None:
    agent = make_agent(workspace={"size": "1Gi", "mountPath": "/w"})

    assert volumes.writable_mounts(agent, effective_of(agent)) == ["/w", "/tmp"]


def test_a_writable_path_is_never_larger_than_its_size() -> None:
    agent = make_agent()
    policy = make_policy(fileSystem={"writablePaths": [{"path": "/x", "size": "2048Mi"}, {"path": "/y"}]})

    built = volumes.build_volumes(agent, effective_of(agent, policy))

    assert [volume["emptyDir"] for volume in built] == [{"sizeLimit": "2Gi"}, {"sizeLimit": "64Mi"}]
