import subprocess
from collections.abc import Iterator

import pytest

from devcluster.process import Running, end, start_time


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_ended_by_pid_and_start_time(sleeper: "subprocess.Popen[bytes]") -> None:
    started = start_time(sleeper.pid)
    assert started is not None

    end(sleeper.pid, started, grace=5)

    assert sleeper.wait(timeout=5) != 0


def test_a_stranger_with_a_reused_pid_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    started = start_time(sleeper.pid)
    assert started is not None

    end(sleeper.pid, started - 1, grace=5)

    assert sleeper.poll() is None
    assert not Running("sleep", sleeper.pid, started - 1, "").is_alive()


def test_a_zombie_is_not_alive(sleeper: "subprocess.Popen[bytes]") -> None:
    started = start_time(sleeper.pid)
    assert started is not None

    end(sleeper.pid, started, grace=5)

    assert not Running("sleep", sleeper.pid, started, "").is_alive()
