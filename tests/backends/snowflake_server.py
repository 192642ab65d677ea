"""The stand-in for Snowflake as a process of its own, for the tests of one module or more."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.backends import fakesnow
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 60


class SnowflakeServer:
    """A running stand-in. What it does wrong, whom it knows and what it was asked is had below `/control/`."""

    def __init__(self, port: int, *, scheme: str = "http") -> None:
        self.port = port
        self._scheme = scheme

    def faults(self, **faults: Any) -> None:
        """Set what it does wrong; what is not named is right again. See `snowflake.faults.Faults`."""
        self._control("faults", faults)

    def users(self, users: dict[str, Any]) -> None:
        """Say who may log in; nobody named means everyone. See `snowflake.logins.Users`."""
        self._control("users", users)

    def expire(self, what: str) -> None:
        """Let `session` tokens expire, `master` tokens too, or the sessions be `gone`."""
        self._control("expire", {"what": what})

    def drop_chunks(self) -> None:
        """Let the rest of large results be gone."""
        self._control("chunks/drop", {})

    def forget(self) -> None:
        """Begin a new record."""
        self._control("forget", {})

    @property
    def record(self) -> dict[str, Any]:
        """What it was asked: `statements`, `logins`, `paths`, `aborts`; and `sessions`, how many are logged in."""
        return dict(self._control("record", {}))

    @property
    def statements(self) -> list[dict[str, Any]]:
        """The statements it was asked for, without health checks."""
        return [each for each in self.record["statements"] if each["sql"] != "SELECT 1"]

    def reset(self) -> None:
        """Do nothing wrong, know nobody, remember nothing."""
        self.faults()
        self.users({})
        self.forget()

    def _control(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self._scheme}://127.0.0.1:{self.port}/control/{path}", data=json.dumps(body).encode(), method="POST"
        )
        context = None
        if self._scheme == "https":
            import ssl  # noqa: PLC0415

            context = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running_snowflake(*arguments: str, scheme: str = "http") -> Iterator[tuple[SnowflakeServer, subprocess.Popen[str]]]:
    """Start a stand-in on a port of its own; end it, by its process, after."""
    if not fakesnow().is_dir():
        pytest.fail("there is no stand-in for Snowflake: run python3 -m devcluster backends", pytrace=False)
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": f"{fakesnow()}{os.pathsep}{ROOT}"}
    argv = [sys.executable, "-m", "tests.backends.snowflake", "--port", str(port), *arguments]
    # It leaves behind where it keeps stages.
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryDirectory() as scratch:
        environment["TMPDIR"] = scratch
        process = subprocess.Popen(argv, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if line.strip() != "ready":
                errors.seek(0)
                pytest.fail(f"the stand-in for Snowflake did not start:\n{errors.read()[-2000:]}", pytrace=False)
            yield SnowflakeServer(port, scheme=scheme), process
        finally:
            process.kill()
            process.communicate(timeout=_SECONDS)


@pytest.fixture(scope="session")
def snowflake_process() -> Iterator[SnowflakeServer]:
    """One stand-in for all tests of the run; `snowflake_server` is what a test takes."""
    with running_snowflake() as (server, _):
        yield server


@pytest.fixture
def snowflake_server(snowflake_process: SnowflakeServer) -> Iterator[SnowflakeServer]:
    """A stand-in that does nothing wrong yet."""
    snowflake_process.reset()
    yield snowflake_process
    snowflake_process.reset()
