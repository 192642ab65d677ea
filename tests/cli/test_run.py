"""`run`: a throw-away agent, and what is left of it."""

import os
import signal

import pytest

from ringfence_kube.api import Api
from ringfence_kube.errors import UnreachableError
from ringfence_kube.objects import Raw, collection
from ringfence_kube.throwaway import Outcome, Wish, agent_body, outcome, waiting_for
from tests.cli.cluster import Cluster, answer, condition

LOG = "/api/v1/namespaces/lab/pods/it/log?container=agent"
RUN = ("run", "--name", "it", "example/image:1")


def ended(status: str, why: str, /, **last_exit: object) -> Raw:
    return {
        "state": "Succeeded" if status == "True" else "Failed",
        "conditions": [condition("Complete", status, why, "so it was"), condition("Ready", "False", why)],
        "lastExit": last_exit,
    }


def refused(reason: str, *, stalled: bool = True) -> Raw:
    stop = [condition("Stalled", "True", reason)] if stalled else []
    return {"state": "Pending", "conditions": [condition("Ready", "False", reason, "mend it"), *stop]}


RUNNING = {"state": "Running", "conditions": [condition("Ready", "True", "Running")]}


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """Where an agent begins, writes two lines and ends well."""
    cluster.next_statuses = [refused("Starting", stalled=False), RUNNING, ended("True", "Succeeded", code=0)]
    cluster.logs[LOG] = [b"2026-11-29T12:00:00.1Z one", b"2026-11-29T12:00:00.2Z two"]
    return cluster


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a cluster that answers from memory."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def agents(cluster: Cluster) -> list[Raw]:
    return cluster.items(collection("agents"))


def test_what_the_agent_writes_is_printed_and_nothing_is_left_of_it(busy: Cluster) -> None:
    result = busy.run(*RUN, "--", "echo", "--twice")

    assert (result.exit_code, result.stdout) == (0, "one\ntwo\n")
    assert agents(busy) == []
    assert f"DELETE {collection('agents', 'lab')}/it" in busy.asked


def test_the_exit_code_is_the_commands_own(busy: Cluster) -> None:
    busy.next_statuses[-1] = ended("False", "BackoffLimitExceeded", code=7)

    assert busy.run(*RUN).exit_code == 7


@pytest.mark.parametrize("reason", ["PolicyNotFound", "IsolationNotAllowed"])
def test_what_cannot_run_ends_with_125_and_the_operators_words(cluster: Cluster, reason: str) -> None:
    cluster.next_statuses = [refused(reason, stalled=reason != "PolicyNotFound")]

    result = cluster.run(*RUN)

    assert result.exit_code == 125
    assert f"it cannot run: {reason}, mend it" in result.stderr
    assert agents(cluster) == []


def test_a_cluster_that_refuses_the_agent_is_quoted(cluster: Cluster) -> None:
    cluster.forbidden = lambda method, _: method == "POST"

    result = cluster.run(*RUN)

    assert result.exit_code == 125
    assert 'User "ann" cannot post' in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_takes_the_agent_away_and_is_the_exit_code(
    busy: Cluster, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_cli.commands.run._write", lambda _: os.kill(os.getpid(), number))
    before = signal.getsignal(number)

    result = busy.run(*RUN)

    assert result.exit_code == 128 + number
    assert agents(busy) == []
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_keep_the_agent_from_going(busy: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_cli.commands.run._write", lambda _: os.kill(os.getpid(), signal.SIGINT))
    delete = Api.delete

    def deleting(api: Api, path: str, *, uid: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        delete(api, path, uid=uid)

    monkeypatch.setattr(Api, "delete", deleting)

    assert busy.run(*RUN).exit_code == 128 + signal.SIGINT
    assert agents(busy) == []


def test_an_agent_that_cannot_be_deleted_is_told_of(busy: Cluster) -> None:
    busy.forbidden = lambda method, _: method == "DELETE"

    result = busy.run(*RUN)

    assert result.exit_code == 125
    assert "Agent it may be left behind until its time is over" in result.stderr


def test_a_bug_of_ours_takes_the_agent_away_too(busy: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_cli.commands.run._write", lambda _: 1 / 0)

    result = busy.run(*RUN)

    assert isinstance(result.exception, ZeroDivisionError)
    assert agents(busy) == []


def test_somebody_elses_agent_of_that_name_is_left_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.add("agents", "it", {"image": "other"})
    monkeypatch.setattr(cluster, "_create", lambda *_: answer(409, "it exists already"))

    result = cluster.run(*RUN)

    assert result.exit_code == 125
    assert "it exists already" in result.stderr
    assert [each["spec"]["image"] for each in agents(cluster)] == ["other"]


def test_an_agent_that_somebody_deletes_is_not_waited_for(busy: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_cli.commands.run._write", lambda _: agents(busy).clear())

    result = busy.run(*RUN)

    assert result.exit_code == 125
    assert "somebody deleted the agent" in result.stderr


def test_the_manifest_runs_once_and_goes_by_itself() -> None:
    body = agent_body(Wish(image="x", command=["a", "-b"]), "it", "lab", mark="m")

    assert body["metadata"] == {"name": "it", "namespace": "lab", "annotations": {"ringfence-run": "m"}}
    assert body["spec"] == {
        "mode": "Task",
        "image": "x",
        "command": ["a", "-b"],
        "restartPolicy": "Never",
        "backoff": {"limit": 0},
        "maxExecutionTime": "1h",
        "ttlAfterFinished": "5m",
    }


def test_the_manifest_says_what_the_options_say(busy: Cluster) -> None:
    busy.run(
        *(
            "run",
            "--policy",
            "work",
            "--quota",
            "few",
            "--connector",
            "sales",
            "--connector",
            "events",
            "--cpu",
            "500m",
        ),
        *(
            "--memory",
            "64Mi",
            "-e",
            "A=b=c",
            "-l",
            "team=x",
            "--isolation",
            "Basic",
            "--timeout",
            "90s",
            "--name",
            "it",
        ),
        *("image", "--", "do", "--it"),
    )

    (body,) = busy.made
    assert body["metadata"]["labels"] == {"team": "x"}
    assert body["spec"] == {
        **agent_body(Wish(image="image", command=["do", "--it"], timeout="90s"), "it", "lab", mark="m")["spec"],
        "env": [{"name": "A", "value": "b=c"}],
        "securityPolicyRef": {"name": "work"},
        "quotaRef": {"name": "few"},
        "connectors": [{"name": "sales"}, {"name": "events"}],
        "isolation": "Basic",
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RUNNING, None),
        (refused("Starting", stalled=False), None),
        (ended("True", "Succeeded", code=0), Outcome(0)),
        (
            ended("False", "DeadlineExceeded", code=137),
            Outcome(124, "it ran for longer than it may: so it was"),
        ),
        (
            ended("False", "Failed", code=137, oomKilled=True, memoryLimit={"value": "64Mi"}),
            Outcome(137, "killed by the kernel for using more memory than 64Mi"),
        ),
        (
            ended("False", "Failed", code=128, reason="StartError", message="no such file"),
            Outcome(125, "its command cannot be started: no such file"),
        ),
        (ended("False", "Evicted"), Outcome(125, "Evicted: so it was")),
    ],
)
def test_outcome(status: Raw, expected: Outcome | None) -> None:
    assert outcome({"metadata": {"name": "it"}, "status": status}) == expected


def test_what_is_waited_for_is_what_the_operator_says() -> None:
    agent = {"metadata": {"name": "it"}, "status": refused("Starting", stalled=False)}

    assert waiting_for(agent) == "waiting for Agent it: mend it"


@pytest.mark.parametrize("given", ["A", "=x"])
def test_a_variable_without_a_name_or_value_is_refused(cluster: Cluster, given: str) -> None:
    result = cluster.run("run", "-e", given, "image")

    assert result.exit_code == 2
    assert "write NAME=VALUE" in result.output


def test_a_cut_connection_loses_no_agent(busy: Cluster) -> None:
    calls = iter([1])
    watch = busy._watch

    def flaky(path: str) -> object:
        if next(calls, None):
            raise UnreachableError("cut")
        return watch(path)

    busy._watch = flaky  # type: ignore[method-assign,assignment]

    assert busy.run(*RUN).exit_code == 0
    assert agents(busy) == []
