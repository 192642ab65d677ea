"""The workflows: nothing that a linter finds, and nothing that no make target does."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import kind
from devcluster.binaries import binary, build
from devcluster.step import Progress
from tools import test_runner

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){0,2}$")
RUNS = re.compile(r"make |cosign sign --yes |gh release create ")


def jobs_of(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def steps() -> Iterator[dict[str, Any]]:
    for path in WORKFLOWS:
        for job in jobs_of(path).values():
            yield from job["steps"]


def lint(*command: str | Path) -> None:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.timeout(120, func_only=True)
def test_actionlint_finds_nothing(actionlint: Path) -> None:
    lint(actionlint, "-shellcheck=", "-pyflakes=")


def test_zizmor_finds_nothing_however_strict_it_is() -> None:
    lint(Path(sys.executable).parent / "zizmor", "--offline", "--persona=auditor", "--no-progress", "--quiet", ".")


def test_every_action_is_pinned_to_a_commit_that_says_its_version() -> None:
    lines = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]

    assert len(lines) > 10
    assert [line for line in lines if not PINNED.search(line)] == []


def test_one_action_has_one_version_everywhere() -> None:
    names = {use for path in WORKFLOWS for use in re.findall(r"uses: (\S+@\S+)", path.read_text())}

    assert len({name.partition("@")[0] for name in names}) == len(names)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_but_what_a_job_asks_for_and_no_job_without_an_end(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    for name, job in jobs_of(path).items():
        assert job["permissions"], name
        assert job["timeout-minutes"] <= 90, name


def test_a_checkout_leaves_no_credential_behind() -> None:
    found = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]

    assert found
    assert [step for step in found if step.get("with") != {"persist-credentials": False}] == []


def test_what_may_write_waits_for_somebody_to_agree() -> None:
    jobs = [job for path in WORKFLOWS for job in jobs_of(path).values()]

    writing = [job for job in jobs if "write" in job["permissions"].values()]

    assert len(writing) > 3
    assert [job["name"] for job in writing if job.get("environment") != "release"] == []


def test_every_file_on_the_releases_page_is_attested() -> None:
    jobs = jobs_of(ROOT / ".github/workflows/release.yml")
    page = next(str(step["run"]) for step in jobs["publish"]["steps"] if "run" in step)

    attested = {
        path
        for job in jobs.values()
        for step in job["steps"]
        for path in str(step.get("with", {}).get("subject-path", "")).split()
    }

    assert re.findall(r"dist/\S+", page) == ["dist/packages/ringfence-*", "dist/chart/ringfence-*"]
    kinds = {"packages": ("whl", "tar.gz", "cdx.json"), "chart": ("tgz", "cdx.json")}
    assert attested == {f"dist/{folder}/*.{end}" for folder, ends in kinds.items() for end in ends}


def test_workflows_call_make_targets_that_are_there() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [str(step["run"]) for step in steps() if "run" in step]

    called = {word for each in commands for word in words_of(each)}

    assert [each for each in commands if not RUNS.match(each)] == []
    assert called - targets == set()


def words_of(command: str) -> list[str]:
    """Return the targets of a call of make."""
    if not command.startswith("make "):
        return []
    return [word for word in command.partition(">>")[0].split()[1:] if not word.startswith("-") and "=" not in word]


def targets_of(path: Path) -> set[str]:
    """Return what a workflow has made."""
    commands = [str(step["run"]) for job in jobs_of(path).values() for step in job["steps"] if "run" in step]
    return {word for each in commands for word in words_of(each)}


def folders_tested_by(target: str) -> set[str]:
    """Return the folders of `tests` that a make target runs, by itself or by steps of the test runner."""
    command = ["make", "--dry-run", target]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    named = {word for words in re.findall(r"tools\.test_runner (.+)$", said, re.MULTILINE) for word in words.split()}
    words = said.split() + [word for step in test_runner.steps(long=False) if step.name in named for word in step.argv]
    return {word.split("/")[1] for word in words if word.startswith("tests/")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_every_folder_of_tests_that_needs_no_cluster(path: Path) -> None:
    folders = {each.name for each in (ROOT / "tests").iterdir() if any(each.rglob("test_*.py"))}

    tested = {folder for target in targets_of(path) for folder in folders_tested_by(target)}

    assert len(folders) > 10
    assert folders - {"cluster", "e2e", "quickstart"} - tested == set()


def test_a_change_is_tried_with_real_back_ends_and_where_people_have_no_linux() -> None:
    path = ROOT / ".github/workflows/ci.yml"
    systems = jobs_of(path)["client"]["strategy"]["matrix"]["system"]

    assert {"sidecar-test", "starter-test", "client-test"} <= targets_of(path)
    assert {each.partition("-")[0] for each in systems} == {"ubuntu", "macos", "windows"}


def test_the_quickstart_runs_on_every_version_of_kubernetes_that_is_supported() -> None:
    matrix = jobs_of(ROOT / ".github/workflows/ci.yml")["quickstart"]["strategy"]["matrix"]["include"]
    supported = (ROOT / "docs/operations/supported-versions.md").read_text()

    versions = [entry["kubernetes"] for entry in matrix]

    assert versions == ["1.33", "1.34", "1.35", "1.36", "1.37"]
    assert f"| Kubernetes | {versions[0]} to {versions[-1]} |" in supported
    assert [entry for entry in matrix if f"kindest/node:v{entry['kubernetes']}." not in entry["image"]] == []
    assert [entry for entry in matrix if not re.search(r"@sha256:[0-9a-f]{64}$", entry["image"])] == []


def test_kind_makes_the_cluster_with_the_image_that_the_workflow_names() -> None:
    environment = jobs_of(ROOT / ".github/workflows/ci.yml")["quickstart"]["env"]

    assert environment[kind.NODE_IMAGE] == "${{ matrix.image }}"


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The pinned actionlint."""
    build(["actionlint"], Progress("actionlint"))
    return binary("actionlint")
