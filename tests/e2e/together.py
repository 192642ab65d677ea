"""Runs tests side by side: most of their time they wait for a kubelet, so together they take little more than one.

Those of one folder, that is: each folder has an operator of its own.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.world import World

MakeWorld = Callable[[], AbstractContextManager[World]]
HERE = Path(__file__).parent
THREADS = 6
"""More would start so many pods at once on two cores that none is up in time."""


class Together:
    """Starts every test of a folder that takes `world` at the first one's call; each waits for its own outcome."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="e2e")
        self._outcomes: dict[str, Future[None]] = {}

    def outcome(self, item: pytest.Function, make_world: MakeWorld) -> None:
        """Return or raise what the test did."""
        if item.nodeid not in self._outcomes:
            for each in item.session.items:
                if isinstance(each, pytest.Function) and runs_together(each) and each.path.parent == item.path.parent:
                    self._outcomes[each.nodeid] = self._pool.submit(_run, each, make_world)
        self._outcomes[item.nodeid].result()

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def runs_together(item: pytest.Item) -> bool:
    """True if the test is one of ours and wants nothing but a world and its parameters."""
    if HERE not in item.path.parents or not isinstance(item, pytest.Function):
        return False
    return "world" in inspect.signature(item.obj).parameters


def _run(item: pytest.Function, make_world: MakeWorld) -> None:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    with make_world() as world:
        item.obj(world=world, **parameters)
