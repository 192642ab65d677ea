"""The process beside an agent: `python -m ringfence_sidecar`."""

import ringfence_sidecar.lean  # noqa: F401, I001 - before all others

import asyncio
import contextlib
import os
import signal
import sys

import structlog
import uvloop

from ringfence_sidecar import __version__
from ringfence_sidecar.log import configure_logging
from ringfence_sidecar.loop import tell
from ringfence_sidecar.process import run
from ringfence_sidecar.settings import Settings, VariableError, variables

_log = structlog.get_logger()


def parse_arguments(arguments: list[str]) -> None:
    """Answer --help and --version; everything else is said by environment variables."""
    if not arguments:
        return
    import argparse  # noqa: PLC0415 - half a MiB, for people
    import textwrap  # noqa: PLC0415

    names = textwrap.fill(", ".join(variables()), 100, initial_indent="  ", subsequent_indent="  ")
    parser = argparse.ArgumentParser(
        prog="ringfence_sidecar",
        description="An agent's only door to company data: MCP and REST on 127.0.0.1.",
        epilog=f"settings, as environment variables:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    parse_arguments(sys.argv[1:])
    try:
        settings = Settings.from_env(os.environ)
    except VariableError as error:
        print(f"ringfence_sidecar: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(until_told(settings))


async def until_told(settings: Settings) -> int:
    """Serve until a signal comes (returns 0) or a part of it fails (returns 1)."""
    asyncio.get_running_loop().set_exception_handler(tell)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(run(settings))
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if serving.done():
        _log.error("sidecar.failed", reasons=reasons_of(serving.exception()))
        return 1
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return 0


def reasons_of(error: BaseException | None) -> list[str]:
    """Return what went wrong, in the system's own words where it was the system; other texts may hold anything."""
    if isinstance(error, BaseExceptionGroup):
        return [reason for each in error.exceptions for reason in reasons_of(each)]
    return [str(error) if isinstance(error, OSError) else type(error).__name__]


if __name__ == "__main__":
    sys.exit(main())
