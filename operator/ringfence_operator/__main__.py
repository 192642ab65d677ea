"""The operator's process: `python -m ringfence_operator`."""

import argparse
import asyncio
import os
import signal
import sys
import textwrap
from typing import Any, get_args

import kopf
import uvloop

from ringfence_operator import __version__
from ringfence_operator.errors import SettingsError
from ringfence_operator.handlers import build_registry
from ringfence_operator.runtime.logging import configure_logging
from ringfence_operator.settings import PREFIX, EgressBackend, Settings, variables


def parse_arguments(arguments: list[str]) -> dict[str, str]:
    """Answer --help and --version; return the settings given here, as the environment variables that they replace."""
    names = textwrap.fill(", ".join(variables()), 100, initial_indent="  ", subsequent_indent="  ")
    parser = argparse.ArgumentParser(
        prog="ringfence_operator",
        description="Reconciles Agents and SecurityPolicies into confined pods.",
        epilog=f"settings, as environment variables:\n{names}\n\nreference: docs/reference/settings.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--egress-backend", choices=get_args(EgressBackend), help="what judges names")
    backend = parser.parse_args(arguments).egress_backend
    return {f"{PREFIX}EGRESS_BACKEND": backend} if backend else {}


def main() -> int:
    """Run one replica until it is told to stop; returns the exit code."""
    given = parse_arguments(sys.argv[1:])
    try:
        settings = Settings.from_env({**os.environ, **given})
    except SettingsError as error:
        print(f"ringfence_operator: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings))


async def run(settings: Settings) -> int:
    """Run one replica until a signal ends it (returns 0) or a part of it fails (returns 1)."""
    failures: list[None] = []

    def fail() -> None:
        # kopf's stop_flag would do as well, but leaves a task behind that its shutdown waits 5 s for.
        failures.append(None)
        signal.raise_signal(signal.SIGTERM)

    # kopf would make up an identity from the user's name, and the image's user has none.
    identity: Any = settings.identity
    registry = build_registry(settings, on_failure=fail)
    await kopf.operator(registry=registry, standalone=True, clusterwide=True, identity=identity)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
