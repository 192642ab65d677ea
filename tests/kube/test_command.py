"""Commands in containers: what the API server says of them, and the shell that binds them to whoever began them."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence_kube.api import Api
from ringfence_kube.command import STDERR, STDOUT, Command, bound
from ringfence_kube.errors import ClusterError, ForbiddenError, UnreachableError
from tests.cli.cluster import Cluster
from tests.kube.channels import Spoken, ended, err, out


def start(*argv: str) -> "subprocess.Popen[str]":
    """Start a bound command; its standard input is ours to close."""
    pipe = subprocess.PIPE
    return subprocess.Popen(bound(argv), stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"


def test_output_and_exit_code_are_the_commands_own() -> None:
    with start("sh", "-c", 'echo "$1"; echo bad >&2; exit 3', "sh", "a b") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        result = process.stdout.read(), process.stderr.read(), process.wait(10)

    assert result == ("a b\n", "bad\n", 3)


def test_a_command_that_there_is_not_ends_with_127_and_its_name() -> None:
    with start("no-such-command") as process:
        assert process.stderr is not None
        said = process.stderr.read()

    assert (process.returncode, "no-such-command" in said) == (127, True)


def test_whoever_goes_takes_the_command_and_all_that_it_has_started_along() -> None:
    with start("sh", "-c", "sleep 600 & echo $!; wait") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        child = int(process.stdout.readline())
        assert is_running(child)

        process.stdin.close()

        assert process.wait(10) == 137
    until(lambda: not is_running(child))


def test_a_command_that_has_ended_leaves_nobody_who_waits_for_the_end_of_its_input() -> None:
    with start("true") as process:
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
        until(
            lambda: not any(_group(each) == os.getpgid(0) and _is_shell(each) for each in Path("/proc").glob("[0-9]*"))
        )


def _group(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(") ")[2].split()[2])
    except OSError:
        return 0


def _is_shell(process: Path) -> bool:
    try:
        return b"setsid >/dev/null" in (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_what_a_command_writes_comes_by_its_stream_and_then_its_exit_code() -> None:
    command = Command(Spoken(b"\1", out("one"), err("bad"), out("two"), ended(7)))

    written = list(command)

    assert written == [(STDOUT, b"one"), (STDERR, b"bad"), (STDOUT, b"two")]
    assert command.code == 7


def test_a_command_that_ends_well_has_exit_code_0() -> None:
    command = Command(Spoken(ended(0)))

    assert (list(command), command.code) == ([], 0)


def test_a_container_in_which_nothing_can_be_started_is_an_error_in_the_servers_words() -> None:
    status = {"status": "Failure", "message": "sh: not found"}

    with pytest.raises(ClusterError, match="sh: not found"):
        list(Command(Spoken(b"\3" + json.dumps(status).encode())))


@pytest.mark.parametrize("cut", [True, False])
def test_a_connection_that_ends_before_the_command_is_no_end_of_it(cut: bool) -> None:
    with pytest.raises(UnreachableError):
        list(Command(Spoken(out("one"), cut=cut)))


def test_a_large_input_is_sent_in_pieces() -> None:
    channel = Spoken()

    Command(channel).write(b"x" * 70_000)

    assert [len(each) for each in channel.heard] == [32_769, 32_769, 4465]
    assert {each[:1] for each in channel.heard} == {b"\0"}


def test_the_command_and_its_container_are_named(cluster: Cluster) -> None:
    cluster.begin = lambda _: Spoken(ended(0))

    Command.begin(Api(cluster), "lab", "it", ["a", "b c"], container="agent")

    (asked,) = cluster.asked
    assert asked.startswith("CHANNEL /api/v1/namespaces/lab/pods/it/exec?container=agent&command=a&command=b+c&stdin=")


def test_whoever_may_not_run_commands_is_told_so(cluster: Cluster) -> None:
    with pytest.raises(ForbiddenError, match="pods/it/exec"):
        Command.begin(Api(cluster), "lab", "it", ["a"], container="agent")
