"""What is to be known of the quickstart without a cluster."""

import os
from pathlib import Path

import pytest

from tests.quickstart.document import Command, missing, same, sections
from tests.quickstart.shell import Answer, Shell

CRDS = Path(__file__).resolve().parents[2] / "crds"
PAGE = """
## 1. First

```sh
one
two
```

<!-- not run: for a reason -->
```sh
three
```

## 2. Second

```console
$ four \\
    five
answer of 12 s
$ six
```
"""


def test_a_page_is_read_as_what_is_typed_and_what_is_shown() -> None:
    first, second = sections(PAGE)

    assert (first.number, first.commands) == (1, (Command("one\ntwo"),))
    assert second.commands == (Command("four \\\n    five", "answer of 12 s"), Command("six"))


def test_a_line_is_compared_without_what_differs_from_run_to_run() -> None:
    assert same("explorer   Running   0   35s") == same("explorer Running  1   2m4s")
    assert same("leads: ringfence-operator-86d7859576-wl9l6") == same("leads: ringfence-operator-5c9f7d8b4-abcde")
    assert same("Running") != same("Pending")


def test_a_line_that_is_shown_and_was_not_said_is_missing() -> None:
    assert missing("a 1\nb 2", "b 3\n") == ["a 1"]


def test_from_an_empty_cluster_to_the_first_agent_it_takes_four_commands_at_most() -> None:
    lines = [line for section in sections() for command in section.commands for line in command.text.splitlines()]
    begin = next(index for index, line in enumerate(lines) if line.startswith("helm install"))
    end = next(index for index, line in enumerate(lines) if line.startswith("kubectl wait"))

    assert lines[end].startswith("kubectl wait --for=condition=Complete agent/")
    assert len(lines[begin : end + 1]) <= 4


def test_at_the_end_pools_go_before_the_operator_that_some_wait_for_and_every_kind_after_it() -> None:
    lines = [line for command in sections()[-1].commands for line in command.text.splitlines()]
    pools = lines.index("kubectl delete agentpools --all --all-namespaces")
    operator = next(index for index, line in enumerate(lines) if line.startswith("helm uninstall"))
    kinds = {word for line in lines[operator:] if line.startswith("kubectl delete crd ") for word in line.split()[3:]}

    assert pools < operator
    assert kinds == {f"{path.stem}.ringfence.dev" for path in CRDS.glob("*s.yaml")}


def test_every_block_that_a_test_leaves_out_says_why() -> None:
    titles = [section.title for section in sections()]

    assert len(titles) == 11
    assert titles[0].startswith("1.")


def test_the_shell_remembers_what_was_typed_and_says_how_each_command_ended(tmp_path: Path) -> None:
    with Shell(tmp_path, dict(os.environ)) as shell:
        shell.run("who=world; greet() { echo hello $who; }", seconds=10)

        assert shell.run("greet; cat; false", seconds=10) == Answer("hello world\n", 1)


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with Shell(tmp_path, dict(os.environ)) as shell, pytest.raises(TimeoutError, match="no end of `sleep 60`"):
        shell.run("sleep 60", seconds=0.2)
