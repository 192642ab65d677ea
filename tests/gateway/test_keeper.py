"""The keeper with real processes. `cat` without an end of its input stands for a program that runs forever."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

SECONDS = 10.0
FOREVER = "echo $$; exec cat"
KEEP = """
import sys
from ringfence_gateway.keeper import Keeper
sys.exit(Keeper({command!r}, least_seconds={least}).run())
"""


@asynccontextmanager
async def keeper(script: str, *, least_seconds: float) -> AsyncIterator[Process]:
    """Keep a shell that runs `script`."""
    program = KEEP.format(command=["/bin/sh", "-c", script], least=least_seconds)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(SECONDS):
            yield process
    finally:
        # The kept program too: it has the same pipes, and their ends are waited for.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def pid_of_program(process: Process) -> int:
    assert process.stdout is not None
    return int(await process.stdout.readline())


async def test_a_program_that_is_killed_is_started_again_at_once() -> None:
    async with keeper(FOREVER, least_seconds=0) as process:
        killed = await pid_of_program(process)

        os.kill(killed, signal.SIGKILL)
        next_one = await pid_of_program(process)

        assert next_one != killed
        assert process.returncode is None
        os.kill(next_one, signal.SIGKILL)
        assert await pid_of_program(process)
        process.terminate()
        await process.wait()


async def test_a_program_that_ends_too_soon_is_left_to_the_kubelet() -> None:
    async with keeper("echo once; exit 3", least_seconds=SECONDS) as process:
        said, _ = await process.communicate()

    assert (said, process.returncode) == (b"once\n", 3)


async def test_being_told_to_stop_is_handed_on_and_ends_it() -> None:
    async with keeper(FOREVER, least_seconds=0) as process:
        await pid_of_program(process)

        process.terminate()
        said, _ = await process.communicate()

    assert (said, process.returncode) == (b"", 128 + signal.SIGTERM)


async def test_a_program_that_ends_in_peace_when_told_to_has_its_own_code() -> None:
    async with keeper("trap 'exit 7' TERM; echo $$; while :; do sleep 0.1; done", least_seconds=0) as process:
        await pid_of_program(process)

        process.terminate()
        await process.wait()

    assert process.returncode == 7
