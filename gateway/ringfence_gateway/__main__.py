"""The process beside Envoy in a gateway pod: `python -m ringfence_gateway`."""

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
import textwrap

import structlog
import uvloop

from ringfence_gateway import __version__
from ringfence_gateway.environment import Environment, VariableError, variables
from ringfence_gateway.log import configure_logging
from ringfence_gateway.process import run

_log = structlog.get_logger()


def parse_arguments(arguments: list[str]) -> None:
    """Answer --help and --version; everything else is said by environment variables."""
    names = textwrap.fill(", ".join(variables()), 100, initial_indent="  ", subsequent_indent="  ")
    parser = argparse.ArgumentParser(
        prog="ringfence_gateway",
        description="Answers DNS for agents, resolves names for Envoy, and reports what agents asked for.",
        epilog=f"settings, as environment variables:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    parse_arguments(sys.argv[1:])
    try:
        environment = Environment.from_env(os.environ)
    except VariableError as error:
        print(f"ringfence_gateway: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    configure_logging(environment.log_level)
    allow_many_sockets()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(until_told(environment))


async def until_told(environment: Environment) -> int:
    """Serve until a signal comes (returns 0) or a part of it fails (returns 1)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(run(environment))
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if serving.done():
        _log.error("gateway failed", reason=repr(serving.exception()))
        return 1
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return 0


def allow_many_sockets() -> None:
    """Raise the limit of open files to what is allowed: a port set takes two, and each connection one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
