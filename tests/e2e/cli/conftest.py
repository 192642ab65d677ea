import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.program import Program
from tests.e2e.world import World


@pytest.fixture
def ringfence(alone: World, kubeconfig: Path) -> Program:
    """The command line, in the namespace of the test's world."""
    return Program(kubeconfig, alone.namespace)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Have programs that tests start hear SIGINT: whoever is started in the background by a shell has it ignored, and
    so has everything that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
