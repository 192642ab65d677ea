"""`ringfence run` on a real cluster: output as it comes, the command's exit code, and nothing left."""

import signal

import pytest

from tests.e2e.cli.program import Program
from tests.e2e.kube import address
from tests.e2e.world import IMAGE, World

TALKING = "echo one; sleep 3; echo two; exit 3"


def agents(world: World) -> list[str]:
    return [each["metadata"]["name"] for each in world.kube.items(address("Agent", world.namespace))]


def test_output_comes_while_the_command_runs_and_its_exit_code_at_the_end(alone: World, ringfence: Program) -> None:
    with ringfence.start("run", IMAGE, "--", "sh", "-c", TALKING) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        was_running = process.poll() is None
        rest = process.stdout.read()

    assert (first, was_running, rest, process.returncode) == ("one\n", True, "two\n", 3)
    assert agents(alone) == []


def test_the_command_is_confined_as_every_agent_is(ringfence: Program) -> None:
    ran = ringfence.run("run", "--memory", "32Mi", IMAGE, "--", "sh", "-c", "id -u; touch /x || echo closed")

    assert ran.code == 0, ran.err
    assert {"65532", "closed"} <= set(ran.out.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_stops_it_leaves_no_agent(alone: World, ringfence: Program, number: signal.Signals) -> None:
    with ringfence.start("run", IMAGE, "--", "sh", "-c", "echo up; sleep 600") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        process.wait(60)

    assert process.returncode == 128 + number
    assert agents(alone) == []


def test_if_it_is_killed_outright_the_agent_has_an_end_of_its_own(alone: World, ringfence: Program) -> None:
    with ringfence.start(
        "run", "--name", f"orphan-{alone.tag}", "--timeout", "2s", IMAGE, "--", "sleep", "600"
    ) as process:
        path = address("Agent", alone.namespace, f"orphan-{alone.tag}")
        alone.kube.until(path, lambda it: it is not None)
        process.kill()

    ended = alone.kube.until(path, lambda it: bool(it and it.get("status", {}).get("finishedAt")))
    alone.kube.delete(path)

    assert ended is not None
    assert ended["spec"]["ttlAfterFinished"] == "5m"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--timeout", "2s", IMAGE, "--", "sleep", "600"), 124, "ran for longer than it may"),
        (("--memory", "32Mi", IMAGE, "--", "python3", "-c", "bytearray(1 << 28)"), 137, "more memory than 32Mi"),
        (("--policy", "no-such-policy", IMAGE), 125, "PolicyNotFound"),
        ((IMAGE, "--", "no-such-command"), 125, "cannot be started"),
        (("--memory", "much", IMAGE), 125, "write a quantity"),
    ],
    ids=["deadline", "memory", "policy", "command", "refused"],
)
def test_what_went_wrong_is_an_exit_code_and_a_sentence(
    alone: World, ringfence: Program, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = ringfence.run("run", *words)

    assert ran.code == code, ran.err
    assert said in ran.err
    assert agents(alone) == []
