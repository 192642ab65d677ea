"""What all commands share: where to, how it looks, what is completed, how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from ringfence_cli.__main__ import complete_for_kubectl, main
from ringfence_cli.app import app
from ringfence_kube.connection import Target
from tests.cli.cluster import Cluster

COMMANDS = [(name,) for name in app.commands] + [("policy", "suggest")]


def test_options_of_the_cluster_stand_before_the_command_or_after_it_and_the_later_wins(cluster: Cluster) -> None:
    cluster.run("--context", "far", "-n", "one", "get", "--namespace", "two", "--kubeconfig", "/k")

    assert cluster.targets == [Target(kubeconfig="/k", context="far", namespace="two")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(words: tuple[str, ...], cluster: Cluster) -> None:
    result = cluster.run(*words, "--help")

    assert result.exit_code == 0
    assert words == ("policy",) or "ringfence " + " ".join(words) in result.output.partition("\n")[2]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    command: click.Command = app
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]

    options = [each for each in command.params if isinstance(each, click.Option)]

    assert [each.name for each in options if not each.help] == []


def test_doctor_ends_with_1_where_something_is_broken_and_0_where_nothing_is(healthy: Cluster) -> None:
    assert healthy.run("doctor", "-A", "--operator-namespace", "ringfence-system").exit_code in (0, 1)
    healthy.documents["/version"]["minor"] = "20"

    result = healthy.run("doctor", "-q", "-o", "yaml")

    assert result.exit_code == 1
    assert "is too old" in yaml.safe_load(result.output)[0]["sentence"]


def test_doctor_says_that_no_api_server_answers(cluster: Cluster) -> None:
    cluster.is_away = True

    result = cluster.run("doctor", "-o", "json")

    (finding,) = json.loads(result.output)
    assert result.exit_code == 1
    assert (finding["check"], finding["level"]) == ("api-server", "broken")


def test_colours_are_for_terminals_alone(healthy: Cluster) -> None:
    assert "\x1b[" not in healthy.run("doctor").output
    assert "\x1b[" in healthy.run("doctor", terminal=True).output


def test_who_wants_no_colours_gets_none(healthy: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    result = healthy.run("doctor", terminal=True, NO_COLOR="1")

    assert not any(f"\x1b[{code}m" in result.output for code in ("31", "32", "33", "1;31"))


def test_an_error_is_a_sentence_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["get", "--kubeconfig", str(tmp_path / "none")])

    captured = capsys.readouterr()
    assert ended.value.code == 1
    assert captured.out == ""
    assert captured.err.startswith("ringfence: the kubeconfig ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_a_script_for_each_shell(cluster: Cluster, shell: str) -> None:
    output = cluster.run("completion", shell).output

    assert "_RINGFENCE_COMPLETE" in output
    assert "ringfence" in output


def test_bash_completes_commands() -> None:
    environment = {
        **os.environ,
        "_RINGFENCE_COMPLETE": "bash_complete",
        "COMP_WORDS": "ringfence ex",
        "COMP_CWORD": "1",
    }
    program = Path(sys.executable).with_name("ringfence")

    ran = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=30, check=True)

    assert ran.stdout.split() == ["plain,explain"]


def test_kubectl_is_told_what_may_follow_in_its_own_form(capsys: pytest.CaptureFixture[str]) -> None:
    complete_for_kubectl(["policy", "su"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("suggest\tWrite the list")
    assert lines[-1] == ":4"


def test_kubectl_is_told_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    complete_for_kubectl([""])

    words = [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert set(app.commands) <= set(words)


def test_help_and_completion_of_options_do_not_load_the_library_for_the_cluster() -> None:
    code = "import sys, ringfence_cli.__main__; sys.exit('kubernetes' in sys.modules or 'yaml' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)

    assert (ran.returncode, ran.stderr) == (0, b"")
