"""Agents from outside, on a cluster that answers from memory; on a real one in tests/e2e/client."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import ringfence
from ringfence import sync
from ringfence_kube.api import Api
from ringfence_kube.errors import ClusterError
from ringfence_kube.objects import Raw, collection
from tests.cli.cluster import Cluster, condition
from tests.cli.cluster import answer as answered
from tests.kube.channels import Spoken, ended, err, out

STARTING = {"state": "Pending", "conditions": [condition("Ready", "False", "Starting", "the pod starts")]}
READY = {"state": "Running", "conditions": [condition("Ready", "True", "Running")]}
REFUSED = {"state": "Pending", "conditions": [condition("Ready", "False", "PolicyNotFound", "make the policy")]}
LATE = {
    "state": "Failed",
    "conditions": [condition("Complete", "False", "DeadlineExceeded", "10 s are over")],
    "lastExit": {"code": 137},
}
JOB = ["do", "it"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Where an agent is ready after a moment, and every command ends well."""
    found = Cluster.empty()
    found.collections["/api/v1/events"] = {"apiVersion": "v1", "kind": "Event", "items": []}
    found.next_statuses = [STARTING, READY]
    found.begin = lambda _: Spoken(ended(0))
    monkeypatch.setattr("ringfence.execution.connect", found.connect)
    return found


def agents(cluster: Cluster) -> list[Raw]:
    return cluster.items(collection("agents"))


def says(cluster: Cluster, *messages: bytes, **how: bool) -> list[Sequence[str]]:
    """Have each command say this; the commands are noted in what is returned."""
    begun: list[Sequence[str]] = []

    def begin(argv: Sequence[str]) -> Spoken:
        begun.append(argv)
        return Spoken(*messages, **how)

    cluster.begin = begin
    return begun


async def test_an_agent_is_made_waited_for_and_taken_away(cluster: Cluster) -> None:
    told: list[str] = []

    async with ringfence.isolated_execution(image="x", security_policy="work", on_progress=told.append) as agent:
        (there,) = agents(cluster)

    assert there["metadata"]["name"] == agent.name
    assert there["spec"]["securityPolicyRef"] == {"name": "work"}
    assert told == [f"waiting for Agent {agent.name}: the operator to look at it"] or told[-1].endswith(
        "the pod starts"
    )
    assert agents(cluster) == []


async def test_a_command_gives_its_output_at_once_and_its_end_as_a_result(cluster: Cluster) -> None:
    begun = says(cluster, out("one\n"), err("oh\n"), out("two\n"), ended(3))
    seen: list[ringfence.Output] = []

    async with ringfence.isolated_execution(image="x") as agent:
        result = await agent.run(JOB, on_output=seen.append)

    assert result == ringfence.CommandResult(JOB, 3, "one\ntwo\n", "oh\n")
    assert [(each.stream, each.text) for each in seen] == [("stdout", "one\n"), ("stderr", "oh\n"), ("stdout", "two\n")]
    assert list(begun[0][-2:]) == JOB


async def test_a_command_that_has_to_end_well_raises_with_what_it_said_last(cluster: Cluster) -> None:
    says(cluster, err("first\nlast\n"), ended(2))

    async with ringfence.isolated_execution(image="x") as agent:
        with pytest.raises(ringfence.CommandError, match="do ended with 2: last") as caught:
            await agent.run(JOB, check=True)

    assert (caught.value.exit_code, caught.value.stderr) == (2, "first\nlast\n")


async def test_the_result_of_a_program_is_the_last_line_that_it_prints(cluster: Cluster) -> None:
    says(cluster, out('working\n{"total": 4}\n'), ended(0))

    async with ringfence.isolated_execution(image="x") as agent:
        result = await agent.run_python("…", "an argument")

    assert result.json() == {"total": 4}
    assert list(result.command) == ["python3", "-u", "-c", "…", "an argument"]


@pytest.mark.parametrize("text", ["", "working\n", "{"])
def test_a_last_line_that_is_no_json_is_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"last line.*it is '"):
        ringfence.CommandResult(JOB, 0, text, "").json()


async def test_characters_that_are_cut_on_their_way_come_whole(cluster: Cluster) -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    says(cluster, b"\1" + first, b"\1" + second + b"\xff", ended(0))

    async with ringfence.isolated_execution(image="x") as agent:
        result = await agent.run(JOB)

    assert result.stdout == "é�"


async def test_a_stream_ends_with_an_error_if_the_command_fails(cluster: Cluster) -> None:
    says(cluster, out("one"), err("bad"), ended(1))

    async with ringfence.isolated_execution(image="x") as agent:
        stream = agent.stream(JOB)
        texts = [(await anext(stream)).text, (await anext(stream)).text]
        with pytest.raises(ringfence.CommandError, match="do ended with 1: bad"):
            await anext(stream)

    assert texts == ["one", "bad"]


async def test_a_command_that_takes_too_long_is_ended(cluster: Cluster) -> None:
    hanging = Spoken(waits=True)
    cluster.begin = lambda _: hanging

    async with ringfence.isolated_execution(image="x") as agent:
        with pytest.raises(TimeoutError):
            await agent.run(JOB, timeout=0.05)

        assert hanging.closed.is_set()


async def test_leaving_a_stream_early_ends_the_command(cluster: Cluster) -> None:
    hanging = Spoken(out("one"), waits=True)
    cluster.begin = lambda _: hanging

    async with ringfence.isolated_execution(image="x") as agent:
        stream = agent.stream(JOB)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

        assert hanging.closed.is_set()


async def test_whoever_is_cancelled_while_a_command_begins_does_not_leave_it_behind(cluster: Cluster) -> None:
    may_go, has_begun, late = threading.Event(), threading.Event(), Spoken(waits=True)

    def begin(_: Sequence[str]) -> Spoken:
        has_begun.set()
        assert may_go.wait(10)
        return late

    cluster.begin = begin
    async with ringfence.isolated_execution(image="x") as agent:
        running = asyncio.create_task(agent.run(JOB))
        await asyncio.to_thread(has_begun.wait, 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        may_go.set()

        assert await asyncio.to_thread(late.closed.wait, 10)


async def test_files_are_read_and_written_by_their_length(cluster: Cluster) -> None:
    begun = says(cluster, out("content"), ended(0))

    async with ringfence.isolated_execution(image="x") as agent:
        await agent.write_file("/workspace/a b", "héllo")
        content = await agent.read_file("/workspace/a b")

    assert content == b"content"
    assert list(begun[0][-2:]) == ["/workspace/a b", "6"]


async def test_a_file_that_cannot_be_read_is_an_error_with_its_name(cluster: Cluster) -> None:
    says(cluster, err("cat: no such file"), ended(1))

    async with ringfence.isolated_execution(image="x") as agent:
        with pytest.raises(ringfence.CommandError, match="/x ended with 1: cat: no such file"):
            await agent.read_file("/x")


async def test_an_agent_that_cannot_run_is_refused_at_once_with_the_operators_words(cluster: Cluster) -> None:
    cluster.next_statuses = [REFUSED]
    about = {"metadata": {"name": "?", "namespace": "lab"}, "reason": "Waits", "message": "for a policy"}
    cluster.collections["/api/v1/events"]["items"] = [about]
    cluster.forbidden = lambda _, path: "events" in path

    with pytest.raises(ringfence.NotReadyError, match="PolicyNotFound, make the policy") as caught:
        async with ringfence.isolated_execution(image="x"):
            pytest.fail("it was ready")

    assert caught.value.reason == "PolicyNotFound"
    assert agents(cluster) == []


async def test_an_agent_that_is_not_ready_in_time_says_why_and_what_has_happened(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.next_statuses = [STARTING]
    monkeypatch.setattr("ringfence.execution.last_events", lambda *_: ["Pulling: the image"])

    with pytest.raises(
        ringfence.NotReadyError, match=r"not ready in 0.1 s: Starting, the pod starts.*Pulling"
    ) as caught:
        async with asyncio.timeout(5), ringfence.isolated_execution(image="x", ready_timeout=0.1):
            pytest.fail("it was ready")

    assert caught.value.events == ("Pulling: the image",)
    assert agents(cluster) == []


async def test_an_agent_that_the_cluster_refuses_is_an_error_with_its_status(cluster: Cluster) -> None:
    cluster.forbidden = lambda method, _: method == "POST"

    with pytest.raises(ringfence.ClusterError, match='User "ann" cannot post') as caught:
        async with ringfence.isolated_execution(image="x"):
            pytest.fail("it was made")

    assert caught.value.status == 403


async def test_an_exception_in_the_body_takes_the_agent_away(cluster: Cluster) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ringfence.isolated_execution(image="x"):
            raise ZeroDivisionError

    assert agents(cluster) == []


async def test_an_agent_that_cannot_be_deleted_is_told_of(cluster: Cluster) -> None:
    cluster.forbidden = lambda method, _: method == "DELETE"

    with pytest.raises(ringfence.ClusterError, match="may be left behind"):
        async with ringfence.isolated_execution(image="x"):
            pass


async def test_an_agent_that_cannot_be_deleted_hides_no_exception(cluster: Cluster) -> None:
    cluster.forbidden = lambda method, _: method == "DELETE"

    with pytest.raises(ZeroDivisionError) as caught:
        async with ringfence.isolated_execution(image="x"):
            raise ZeroDivisionError

    assert "may be left behind" in caught.value.__notes__[0]


async def test_whoever_is_cancelled_while_the_agent_is_made_leaves_none(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_creating, may_go = threading.Event(), threading.Event()
    create = Api.create

    def slow(api: Api, path: str, body: Raw) -> Raw:
        is_creating.set()
        assert may_go.wait(10)
        return create(api, path, body)

    monkeypatch.setattr(Api, "create", slow)

    async def use() -> None:
        async with ringfence.isolated_execution(image="x"):
            pytest.fail("it was made")

    using = asyncio.create_task(use())
    await asyncio.to_thread(is_creating.wait, 10)
    using.cancel()
    await asyncio.sleep(0)
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert (len(cluster.made), agents(cluster)) == (1, [])


async def test_whoever_is_cancelled_again_while_the_agent_goes_waits_for_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_deleting, may_go = threading.Event(), threading.Event()
    delete = Api.delete

    def slow(api: Api, path: str, *, uid: str) -> None:
        is_deleting.set()
        assert may_go.wait(10)
        delete(api, path, uid=uid)

    monkeypatch.setattr(Api, "delete", slow)
    is_in = asyncio.Event()

    async def use() -> None:
        async with ringfence.isolated_execution(image="x"):
            is_in.set()
            await asyncio.Event().wait()

    using = asyncio.create_task(use())
    await asyncio.wait_for(is_in.wait(), 10)
    using.cancel()
    await asyncio.to_thread(is_deleting.wait, 10)
    using.cancel()
    await asyncio.sleep(0)
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert agents(cluster) == []


async def test_somebody_elses_agent_of_that_name_is_left_alone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add("agents", "it", {"image": "other"})
    monkeypatch.setattr("ringfence.execution.name_for", lambda _: "it")
    monkeypatch.setattr(cluster, "_create", lambda *_: answered(409, "it exists already"))

    with pytest.raises(ringfence.ClusterError, match="it exists already"):
        async with ringfence.isolated_execution(image="x"):
            pytest.fail("it was made")

    assert [each["spec"]["image"] for each in agents(cluster)] == ["other"]


@pytest.mark.parametrize("how", [{"cut": True}, {}])
async def test_a_command_that_is_cut_off_by_its_agents_end_says_how_that_ended(
    cluster: Cluster, how: dict[str, Any]
) -> None:
    says(cluster, *([] if how else [ended(137)]), **how)

    async with ringfence.isolated_execution(image="x") as agent:
        agents(cluster)[0]["status"] = LATE
        with pytest.raises(ringfence.AgentEndedError, match="ran for longer than it may"):
            await agent.run(JOB)


async def test_a_command_that_is_killed_in_an_agent_that_goes_on_has_a_result(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.agent._END_SECONDS", 0.01)
    says(cluster, ended(137))

    async with ringfence.isolated_execution(image="x") as agent:
        result = await agent.run(JOB)

    assert result.exit_code == 137


async def test_a_connection_that_is_cut_while_the_agent_goes_on_is_the_clusters_error(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.agent._END_SECONDS", 0.01)
    says(cluster, out("one"), cut=True)

    async with ringfence.isolated_execution(image="x") as agent:
        with pytest.raises(ringfence.ClusterError, match="cut"):
            await agent.run(JOB)


async def test_a_command_as_one_text_is_refused_with_what_to_write(cluster: Cluster) -> None:
    async with ringfence.isolated_execution(image="x") as agent:
        with pytest.raises(TypeError, match="as its words"):
            await agent.run("do it")
        with pytest.raises(ValueError, match="write_file"):
            await agent.run_python("#" * 200_000)


async def test_ten_commands_at_once_do_not_wait_for_each_other(cluster: Cluster) -> None:
    together = threading.Barrier(10)

    def begin(_: Sequence[str]) -> Spoken:
        together.wait(10)
        return Spoken(ended(0))

    cluster.begin = begin

    async with ringfence.isolated_execution(image="x") as agent:
        results = await asyncio.gather(*(agent.run(JOB) for _ in range(10)))

    assert [each.exit_code for each in results] == [0] * 10


async def test_where_no_cluster_is_named_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: object) -> None:
        raise ClusterError("the kubeconfig does not lead to a cluster")

    monkeypatch.setattr("ringfence.execution.connect", nowhere)

    with pytest.raises(ringfence.ClusterError, match="kubeconfig"):
        async with ringfence.isolated_execution(image="x"):
            pytest.fail("it was made")


def test_without_an_event_loop_everything_is_the_same(cluster: Cluster) -> None:
    says(cluster, out("one"), ended(0))

    with sync.isolated_execution(image="x") as agent:
        result = agent.run(JOB, check=True)
        texts = [each.text for each in agent.stream(JOB)]
        content = agent.read_file("/x")
        name = agent.name

    assert (result.stdout, texts, content) == ("one", ["one"], b"one")
    assert name.startswith("execution-")
    assert agents(cluster) == []


def test_without_an_event_loop_an_exception_takes_the_agent_away(cluster: Cluster) -> None:
    with pytest.raises(ZeroDivisionError), sync.isolated_execution(image="x"):
        raise ZeroDivisionError

    assert agents(cluster) == []
