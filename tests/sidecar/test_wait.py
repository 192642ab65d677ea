import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ringfence_operator.reconcile.diagnose import diagnose
from ringfence_operator.resources.observed_pod import observe_pod
from ringfence_sidecar.wait import main, wait
from tests.operator.resources.objects import effective_of, make_agent, pod_body
from tests.ports import free_port


class Probe(BaseHTTPRequestHandler):
    """Answers as the health port of a sidecar that never gets a configuration, and that lives from `lives_at` on."""

    lives_at = 0.0

    def do_GET(self) -> None:
        lives = self.path == "/healthz" and time.monotonic() >= type(self).lives_at
        self.send_response(200 if lives else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a probe."""
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Probe)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_returns_as_soon_as_the_sidecar_lives(port: int) -> None:
    Probe.lives_at = time.monotonic() + 0.2
    began = time.monotonic()

    assert wait(port)

    assert 0.2 <= time.monotonic() - began < 2


def test_a_sidecar_without_a_configuration_holds_nobody_back(port: int) -> None:
    Probe.lives_at = 0.0

    assert wait(port, limit=5), "readiness is not asked for"


def test_one_that_does_not_answer_is_given_up() -> None:
    assert not wait(free_port(), limit=0.3)


def test_as_a_program_it_says_so_by_its_exit_code(port: int) -> None:
    Probe.lives_at = 0.0
    command = [
        sys.executable,
        "-S",
        "-c",
        f"from ringfence_sidecar.wait import wait; raise SystemExit(not wait({port}))",
    ]

    ran = subprocess.run(command, env={"PYTHONPATH": "sidecar"}, timeout=20, check=False)

    assert ran.returncode == 0


def test_one_that_is_too_late_is_told_of_in_the_words_by_which_the_operator_knows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGFENCE_SIDECAR_HEALTH_PORT", str(free_port()))

    code = main(limit=1)

    said = capsys.readouterr().err
    waiting = {"reason": "PostStartHookError", "message": f'... exited with 1: , message: "{said.strip()}\\n"'}
    pod = pod_body(initContainerStatuses=[{"name": "sidecar", "state": {"waiting": waiting}}])
    assert code == 1
    assert diagnose(observe_pod(pod), effective_of(make_agent())).message.startswith(said.strip())
