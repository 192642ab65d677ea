"""The control process: `python -m ringfence_operator.control`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from ringfence_operator import __version__
from ringfence_operator.control.gateway import Wiring
from ringfence_operator.control.metrics import ControlMetrics
from ringfence_operator.control.process import ControlProcess, Place
from ringfence_operator.errors import SettingsError
from ringfence_operator.runtime.health import HealthServer
from ringfence_operator.runtime.logging import configure_logging

_DEFAULTS = {
    "RINGFENCE_CONTROL_SOCKET": "/run/ringfence/control.sock",
    "RINGFENCE_CONTROL_PORT": "18000",
    "RINGFENCE_CONTROL_SIDECAR_PORT": "18443",
    "RINGFENCE_CONTROL_HTTP_PORT": "8081",
    "RINGFENCE_CONTROL_LOG_LEVEL": "info",
    "RINGFENCE_CONTROL_TEST_UNCHECKED_ADDRESSES": "false",
}
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says."""

    socket: Path
    port: int
    sidecar_port: int
    http_port: int
    log_level: str
    test_unchecked_addresses: bool = False
    """For tests only: gateways connect wherever a name leads, so that what stands behind Envoy can be tested alone."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings that `environ` holds. Raises SettingsError, naming the variable."""
        socket, port, sidecar_port, http_port, level, unchecked = (
            environ.get(name) or value for name, value in _DEFAULTS.items()
        )
        if level not in _LEVELS:
            raise SettingsError(f"RINGFENCE_CONTROL_LOG_LEVEL: {level!r} is none of {', '.join(_LEVELS)}")
        if unchecked not in {"true", "false"}:
            raise SettingsError(f"RINGFENCE_CONTROL_TEST_UNCHECKED_ADDRESSES: {unchecked!r} is neither true nor false")
        return cls(
            Path(socket),
            _port("RINGFENCE_CONTROL_PORT", port),
            _port("RINGFENCE_CONTROL_SIDECAR_PORT", sidecar_port),
            _port("RINGFENCE_CONTROL_HTTP_PORT", http_port),
            level,
            unchecked == "true",
        )


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 65_535:  # noqa: PLR2004 - the last port there is
        raise SettingsError(f"{name}: {text!r} is no port")
    return int(text)


def parse_arguments(arguments: list[str]) -> None:
    """Answer --help and --version; everything else is said by environment variables."""
    names = "\n".join(f"  {name} (default {value})" for name, value in _DEFAULTS.items())
    parser = argparse.ArgumentParser(
        prog="ringfence_operator.control",
        description="Serves egress gateways and sidecars what the operator sends over a Unix socket.",
        epilog=f"settings, as environment variables:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)


def main() -> int:
    """Run until told to stop; returns the exit code."""
    parse_arguments(sys.argv[1:])
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        print(f"ringfence_operator.control: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings))
    return 0


async def run(settings: Settings) -> None:
    """Serve until a signal ends it."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if settings.test_unchecked_addresses:
        structlog.get_logger(__name__).warning("addresses.unchecked", why="a test says so; never in production")
    wiring = Wiring(is_checking=not settings.test_unchecked_addresses)
    metrics = ControlMetrics()
    process = ControlProcess(
        Place(socket=settings.socket, port=settings.port, sidecar_port=settings.sidecar_port),
        wiring=wiring,
        on_sent=metrics.sent,
        on_answer=metrics.answered,
    )
    metrics.expose(sidecars=lambda: process.sidecar_connections, gateways=lambda: process.gateways)
    health = HealthServer(metrics.registry, ())
    await health.start(port=settings.http_port)
    await process.start()
    await stopped.wait()
    await process.stop()
    await health.stop()


if __name__ == "__main__":
    sys.exit(main())
