"""Agents made from a program outside, on a real cluster."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import yaml

import ringfence
from ringfence import sync
from tests.e2e.kube import address
from tests.e2e.world import IMAGE, SMALL, World

ROOT = Path(__file__).resolve().parents[3]
Execution = Callable[..., AbstractAsyncContextManager[ringfence.Agent]]
Start = Callable[[str], "subprocess.Popen[str]"]
TALKING = ["sh", "-c", "echo one; echo oh >&2; sleep 2; echo two; exit 3"]


@pytest.fixture
def execution(alone: World, kubeconfig: Path) -> Execution:
    """`isolated_execution`, in the namespace of the test's world."""
    return partial(ringfence.isolated_execution, image=IMAGE, namespace=alone.namespace, kubeconfig=str(kubeconfig))


def agents(world: World) -> list[str]:
    return [each["metadata"]["name"] for each in world.kube.items(address("Agent", world.namespace))]


async def shows(agent: ringfence.Agent, process: str) -> bool:
    """Return True if a process with this in its command line is in the agent."""
    look = "import pathlib; print([p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')])"
    return process in (await agent.run_python(look, check=True)).stdout


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - it is in an agent
            await asyncio.sleep(0.1)


async def test_output_comes_while_the_command_runs_and_its_end_is_the_result(
    alone: World, execution: Execution
) -> None:
    told: list[str] = []
    at: dict[str, float] = {}
    clock = asyncio.get_running_loop().time

    async with execution(on_progress=told.append) as agent:
        result = await agent.run(TALKING, on_output=lambda output: at.setdefault(output.text.strip(), clock()))

    assert (result.exit_code, result.stdout, result.stderr) == (3, "one\ntwo\n", "oh\n")
    assert at["two"] - at["one"] > 1
    assert any(agent.name in each for each in told)
    assert agents(alone) == []


async def test_what_commands_leave_is_there_for_those_after_them_and_files_go_both_ways(execution: Execution) -> None:
    data = bytes(range(256)) * 2000

    async with execution() as agent:
        await agent.write_file("/tmp/data", data)
        await agent.run(["sh", "-c", "cp /tmp/data /tmp/copy"], check=True)
        copy = await agent.read_file("/tmp/copy")
        snippet = "import json, sys; print('working'); print(json.dumps({'got': sys.argv[1:]}))"
        found = (await agent.run_python(snippet, "a", "b c")).json()
        with pytest.raises(ringfence.CommandError, match="nothing"):
            await agent.read_file("/tmp/nothing")

    assert copy == data
    assert found == {"got": ["a", "b c"]}


async def test_a_command_is_confined_as_the_agent_is(execution: Execution) -> None:
    async with execution() as agent:
        result = await agent.run(["sh", "-c", "id -u; touch /x || echo closed"])

    assert result.stdout.split() == ["65532", "closed"]


async def test_a_template_is_a_file_as_for_kubectl(alone: World, execution: Execution, tmp_path: Path) -> None:
    spec = {"image": "example/other:1", "resources": SMALL, "env": [{"name": "GREETING", "value": "hi"}]}
    metadata = {"name": f"job-{alone.tag}", "labels": {"team": "x"}}
    file = tmp_path / "job.yaml"
    file.write_text(
        yaml.safe_dump({"apiVersion": "ringfence.dev/v1alpha1", "kind": "Agent", "metadata": metadata, "spec": spec})
    )

    async with execution(file, lifetime="5m") as agent:
        result = await agent.run(["sh", "-c", "echo $GREETING"], check=True)
        made = alone.kube.get(address("Agent", alone.namespace, agent.name))

    assert result.stdout == "hi\n"
    assert agent.name.startswith(f"job-{alone.tag}-")
    assert made is not None
    assert made["metadata"]["labels"] == {"team": "x"}
    assert (made["spec"]["maxExecutionTime"], made["spec"]["mode"]) == ("5m", "Task")


async def test_a_command_that_there_is_not_ends_with_127(execution: Execution) -> None:
    async with execution() as agent:
        result = await agent.run(["no-such-command"])

    assert (result.exit_code, "no-such-command" in result.stderr) == (127, True)


async def test_a_command_that_is_given_up_is_ended_with_all_that_it_has_started(execution: Execution) -> None:
    async with execution() as agent:
        with pytest.raises(TimeoutError):
            await agent.run(["sh", "-c", "sleep 4711 & wait"], timeout=2)

        async def is_gone() -> bool:
            return not await shows(agent, "4711")

        await until(is_gone)


async def test_an_agent_that_cannot_run_is_refused_at_once_with_the_reason(alone: World, execution: Execution) -> None:
    with pytest.raises(ringfence.NotReadyError, match="no-such-policy") as caught:
        async with asyncio.timeout(30), execution(security_policy="no-such-policy", ready_timeout=120):
            pytest.fail("it was ready")

    assert caught.value.reason == "PolicyNotFound"
    assert agents(alone) == []


async def test_an_agent_that_the_cluster_does_not_take_is_an_error_that_says_what_to_write(
    alone: World, execution: Execution
) -> None:
    with pytest.raises(ringfence.ClusterError, match="write a quantity") as caught:
        async with execution(memory="much"):
            pytest.fail("it was made")

    assert caught.value.status == 422
    assert agents(alone) == []


async def test_whoever_is_cancelled_leaves_nothing(alone: World, execution: Execution) -> None:
    is_up = asyncio.Event()

    async def work() -> None:
        async with execution() as agent:
            await agent.run(["sh", "-c", "echo up; sleep 600"], on_output=lambda _: is_up.set())

    task = asyncio.create_task(work())
    await asyncio.wait_for(is_up.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert agents(alone) == []


async def test_an_agent_whose_time_is_over_says_so_to_whoever_runs_something_in_it(execution: Execution) -> None:
    async with execution(lifetime="12s") as agent:
        with pytest.raises(ringfence.AgentEndedError, match="ran for longer than it may"):
            await agent.run(["sleep", "600"])


async def test_two_at_once_know_nothing_of_each_other(alone: World, execution: Execution) -> None:
    async def work(text: str) -> str:
        async with execution() as agent:
            await agent.write_file("/tmp/text", text)
            return (await agent.read_file("/tmp/text")).decode()

    assert tuple(await asyncio.gather(work("one"), work("two"))) == ("one", "two")
    assert agents(alone) == []


def test_without_an_event_loop_it_is_the_same(alone: World, kubeconfig: Path) -> None:
    with sync.isolated_execution(image=IMAGE, namespace=alone.namespace, kubeconfig=str(kubeconfig)) as agent:
        result = agent.run(TALKING)
        texts = [each.text for each in agent.stream(["sh", "-c", "echo a; sleep 1; echo b"])]

    assert (result.exit_code, result.stdout, texts) == (3, "one\ntwo\n", ["a\n", "b\n"])
    assert agents(alone) == []


PROGRAM = """
import functools
import signal
import sys
from ringfence import sync

signal.signal(signal.SIGINT, signal.default_int_handler)
say = functools.partial(print, flush=True)
template = {"kind": "Agent", "spec": {"image": sys.argv[1], "ttlAfterFinished": "1s"}}
with sync.isolated_execution(template, namespace=sys.argv[2], lifetime=sys.argv[3], on_progress=say) as agent:
    agent.run(["sh", "-c", "echo up; sleep 600"], on_output=lambda output: say(output.text, end=""))
"""


@pytest.fixture
def start(alone: World, kubeconfig: Path) -> Start:
    """Starts a program with an agent that may live for so long, which runs something in it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client"), "KUBECONFIG": str(kubeconfig)}

    def started(lifetime: str) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-c", PROGRAM, IMAGE, alone.namespace, lifetime]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=environment, stdout=pipe, stderr=pipe, text=True)

    return started


def read_until(process: "subprocess.Popen[str]", beginning: str) -> None:
    """Read what the program says until a line begins so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"it ended before it said {beginning}")


@pytest.mark.parametrize("moment", ["waiting for Agent", "up"])
def test_ctrl_c_leaves_nothing(alone: World, start: Start, moment: str) -> None:
    with start("1h") as process:
        read_until(process, moment)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert "KeyboardInterrupt" in said
    assert agents(alone) == []


def test_a_caller_that_is_killed_leaves_nothing_for_longer_than_the_lifetime(alone: World, start: Start) -> None:
    with start("12s") as process:
        read_until(process, "up")
        process.kill()
    (name,) = agents(alone)

    alone.kube.until(address("Agent", alone.namespace, name), lambda it: it is None)

    alone.kube.until(address("Pod", alone.namespace, name), lambda it: it is None)
