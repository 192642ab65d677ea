"""Every command of the quickstart, typed in order into one shell, on a cluster without Ringfence."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.binaries import binary, build
from devcluster.kind import docker_answers
from devcluster.step import Progress
from tests.chart.chart import HOMES
from tests.quickstart.document import Command, Section, missing, sections
from tests.quickstart.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = sections()
OWN_FROM, OWN_TO = 7, 10
"""Sections for which the project's own cluster has something: an Internet, back ends."""
CLEAN = """
kubectl config set-context --current --namespace=default
helm uninstall ringfence --namespace ringfence-system --ignore-not-found --wait
kubectl delete --ignore-not-found -k deploy
kubectl delete --ignore-not-found namespace ringfence-demo ringfence-backends ringfence-system
"""
MOST_COMMANDS = 4
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in the repository, with Helm and the command line on its PATH; the cluster is clean before and after."""
    build(["helm"], Progress("Helm"))
    programs = tmp_path_factory.mktemp("programs")
    (programs / "helm").symlink_to(binary("helm"))
    path = os.pathsep.join([str(programs), str(ROOT / ".venv/bin"), os.environ["PATH"]])
    with Shell(ROOT, {**os.environ, **HOMES, "PATH": path, "NO_COLOR": "1"}) as shell:
        shell.run('eval "$(python3 -m devcluster env)"', seconds=60)
        shell.run(CLEAN, seconds=300)
        yield shell
        shell.run(CLEAN, seconds=300)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_command_does_what_the_page_shows(shell: Shell, section: Section) -> None:
    if docker_answers() and OWN_FROM <= section.number <= OWN_TO:
        pytest.skip("needs the Internet and the back ends of the project's own cluster, and this is kind")

    for command in section.commands:
        done = carry_out(shell, command)

        assert done == "", f"{command.text}\n{done}"


def test_four_commands_lead_to_the_first_agents_end() -> None:
    assert len(first_steps()) <= MOST_COMMANDS


def first_steps() -> list[Command]:
    """Return the commands from the chart to the first agent's end."""
    commands = [command for section in SECTIONS for command in section.commands]
    first = next(index for index, command in enumerate(commands) if command.text.startswith("helm install"))
    last = next(index for index, command in enumerate(commands) if command.text.startswith("kubectl wait"))
    return commands[first : last + 1]


def carry_out(shell: Shell, command: Command) -> str:
    """Type a command; return what is wrong with its answer, or nothing."""
    deadline = time.monotonic() + 60
    while True:
        answer = shell.run(command.text, seconds=600)
        if not command.answer:
            return "" if answer.code == 0 or "| kubectl diff" in command.text else answer.said
        lacking = [] if docker_answers() else missing(command.answer, answer.said)
        if not lacking:
            return ""
        if not command.may_be_repeated or time.monotonic() > deadline:
            return f"nothing like {lacking} in:\n{answer.said}"
