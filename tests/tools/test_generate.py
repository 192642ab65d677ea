from pathlib import Path

import pytest
import yaml

from tools import generate
from tools.crd import KINDS, build_crd
from tools.rbac import build_user_roles
from tools.reference import conditions_page, kind_page


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree to write into."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    return tmp_path


def test_generated_files_of_this_tree_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_check_names_what_differs_and_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 1

    assert "crds/agents.yaml: differs from the models: run make generate" in capsys.readouterr().out
    assert list(root.iterdir()) == []


def test_second_run_has_nothing_left_to_write(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.main([])
    capsys.readouterr()

    assert generate.main([]) == 0
    assert capsys.readouterr().out == ""
    assert generate.main(["--check"]) == 0


def test_one_change_by_hand_is_found_and_undone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.main([])
    crd = root / "crds" / "agents.yaml"
    crd.write_text(crd.read_text().replace("maxLength: 1024", "maxLength: 1025"))
    capsys.readouterr()

    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out.count("\n") == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_manifest_reads_back_as_the_objects_it_was_made_from() -> None:
    crds = [build_crd(kind) for kind in KINDS]

    assert list(yaml.safe_load_all(generate.manifest(*crds))) == crds


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_page_names_every_field_and_every_message(kind: type) -> None:
    crd = build_crd(kind)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    page = kind_page(kind)

    for name, field in spec["properties"].items():
        assert f"| `{name}` |" in page
        assert field["description"].replace("|", "\\|") in page
    for message in messages(crd):
        assert message in page


def test_conditions_page_names_each_reason() -> None:
    page = conditions_page()

    assert "| `InvalidSpec` |" in page
    assert "| `Reconciling` |" in page


def test_no_role_of_people_writes_a_status() -> None:
    for role in build_user_roles():
        for rule in role["rules"]:
            assert "*" not in [*rule["resources"], *rule["verbs"]]
            if any("/status" in resource for resource in rule["resources"]):
                assert rule["verbs"] == ["get"]


def messages(node: object) -> set[str]:
    """Return every rule's message, at any depth."""
    if isinstance(node, list):
        return set().union(*(messages(each) for each in node))
    if not isinstance(node, dict):
        return set()
    own = {rule["message"] for rule in node.get("x-kubernetes-validations", [])}
    return own.union(*(messages(each) for each in node.values()))
