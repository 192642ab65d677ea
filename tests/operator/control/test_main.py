import asyncio
import signal
import sys
from pathlib import Path

import pytest

from ringfence_operator.control.__main__ import Settings
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.errors import SettingsError
from tests.ports import free_port

UNCHECKED = "RINGFENCE_CONTROL_TEST_UNCHECKED_ADDRESSES"


def test_the_environment_says_where_to_listen() -> None:
    settings = Settings.from_env({"RINGFENCE_CONTROL_PORT": "18001", "RINGFENCE_CONTROL_SOCKET": ""})

    assert settings == Settings(Path("/run/ringfence/control.sock"), 18001, 18443, 8081, "info")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RINGFENCE_CONTROL_PORT", "x"),
        ("RINGFENCE_CONTROL_SIDECAR_PORT", "0"),
        ("RINGFENCE_CONTROL_HTTP_PORT", "70000"),
        ("RINGFENCE_CONTROL_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: '{value}'"):
        Settings.from_env({name: value})


async def test_the_process_is_ready_without_an_operator_and_ends_when_told(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "PYTHONPATH": ":".join(sys.path),
        "RINGFENCE_CONTROL_SOCKET": str(tmp_path / "control.sock"),
        "RINGFENCE_CONTROL_HTTP_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringfence_operator.control", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        answers = [await _get(port, path) for path in ("/readyz", "/healthz", "/metrics")]
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert [answer.split()[1] for answer in answers] == ["200", "200", "200"]
    assert "ringfence_control_gateways 0.0" in answers[2]
    assert code == 0


async def _get(port: int, path: str) -> str:
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
                continue
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            writer.close()
            return answer


def test_addresses_are_checked_unless_a_test_says_exactly_true() -> None:
    assert not Settings.from_env({}).test_unchecked_addresses
    assert not Settings.from_env({UNCHECKED: "false"}).test_unchecked_addresses
    assert Settings.from_env({UNCHECKED: "true"}).test_unchecked_addresses


@pytest.mark.parametrize("text", ["1", "yes", "True", " true"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=UNCHECKED):
        Settings.from_env({UNCHECKED: text})


def test_what_the_settings_reserve_is_closed_with_what_always_is() -> None:
    settings = GatewaySettings(reserved=("203.0.113.0/24",))

    assert Wiring(closed=("10.0.0.0/8",)).closed_by(settings) == ("10.0.0.0/8", "203.0.113.0/24")
    assert Wiring(is_checking=False).closed_by(settings) is None
