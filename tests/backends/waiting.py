"""Bounded waiting for back ends that start."""

import asyncio
import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], *, what: str, seconds: float = 30) -> None:
    """Wait until it is so; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


async def eventually(is_so: Callable[[], bool], *, what: str, seconds: float = 10) -> None:
    """Wait until it is so, letting other tasks run; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)
