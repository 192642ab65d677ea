import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ringfence_operator import probe
from ringfence_operator.probe import ATTEMPTS, Endpoint, connect, judge, main

PATHS = {"pod": [("10.0.0.5", 18800)], "kubelet": [("192.0.2.1", 10250), ("fd00::1", 10250)]}
SILENT = "192.0.2.1"
"""An address of documentation, at which nobody answers."""


@pytest.fixture
def listener() -> Iterator[Endpoint]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def judged(*reached: set[str]) -> dict[str, str]:
    """Return the verdict where each attempt reached the given addresses, the last ones for all that follow."""
    attempts = iter([*reached, *[reached[-1]] * (ATTEMPTS - len(reached))])

    def reach(endpoints: Sequence[Endpoint], seconds: float) -> set[Endpoint]:
        addresses = next(attempts)
        return {each for each in endpoints if each[0] in addresses}

    return judge(PATHS, reach, lambda _: None)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([set()], {"pod": "refused", "kubelet": "refused"}),
        ([{"10.0.0.5"}], {"pod": "open", "kubelet": "refused"}),
        ([{"fd00::1"}], {"pod": "refused", "kubelet": "open"}),
        ([{"10.0.0.5"}, {"10.0.0.5"}, set()], {"pod": "late", "kubelet": "refused"}),
        ([{"10.0.0.5"}, {"10.0.0.5"}, {"10.0.0.5"}, set()], {"pod": "open", "kubelet": "refused"}),
        ([set(), set(), set(), set(), {"192.0.2.1"}], {"pod": "refused", "kubelet": "open"}),
    ],
)
def test_a_path_is_open_unless_all_of_the_last_attempts_fail(
    attempts: list[set[str]], expected: dict[str, str]
) -> None:
    assert judged(*attempts) == expected


def test_of_many_endpoints_those_that_listen_are_reached(listener: Endpoint) -> None:
    closed = ("127.0.0.1", 1)

    assert connect([listener, closed, ("::1", 1)], 2) == {listener}


def test_an_endpoint_that_never_answers_is_given_up_in_time() -> None:
    assert connect([(SILENT, 9)], 0.05) == set()


def test_the_prober_leaves_its_verdict_as_its_termination_message(
    listener: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = tmp_path / "message"
    monkeypatch.setattr(probe, "MESSAGE", message)
    monkeypatch.setattr(probe, "ATTEMPT_SECONDS", 0.01)
    monkeypatch.setenv("HOST_ADDRESSES", "127.0.0.1")
    monkeypatch.setenv("KUBELET_PORTS", f"1,{listener[1]}")

    main(["prober", "1", "127.0.0.1"])

    assert json.loads(message.read_text()) == {"pod": "refused", "kubelet": "open"}


def test_the_target_listens_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = subprocess.Popen([sys.executable, "-m", "ringfence_operator.probe", "target", str(port)], cwd=_SOURCE)
    try:
        found = any(connect([("127.0.0.1", port)], 0.1) for _ in _until_ended(target))
        target.terminate()

        assert found
        assert target.wait(timeout=10) == 0
    finally:
        target.kill()
        target.wait()


_SOURCE = Path(probe.__file__).parents[1]


def _until_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    for _ in range(1000):
        if process.poll() is not None:
            return
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            yield


def test_it_imports_nothing_but_the_standard_library() -> None:
    code = "import sys; import ringfence_operator.probe; print(*{each.partition('.')[0] for each in sys.modules})"

    ran = subprocess.run([sys.executable, "-S", "-c", code], cwd=_SOURCE, capture_output=True, text=True, check=True)

    assert set(ran.stdout.split()) - sys.stdlib_module_names <= {"__main__", "ringfence_operator"}
