"""How long a reader of the quickstart waits for the first agent, and how much there is to type until then."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.row import Row, at_most, for_comparison
from bench.upgrade.bed import Bed
from devcluster.cluster import REPOSITORY, TOOLS
from tests.chart.chart import HOMES

PAGE = REPOSITORY / "docs/quickstart.md"
BEGINS, ENDS = "helm install", "kubectl wait"
MOST_SECONDS, MOST_COMMANDS = 300.0, 4
_BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LONGEST_SECONDS = 600


def measure_quickstart(bed: Bed) -> Iterator[Row]:
    """Type the page's commands, from that which installs the chart to that which waits for the first agent."""
    bed.clear()
    commands = first_commands(PAGE.read_text())
    bed.name_as_released()
    took = _typed(bed, commands)
    bed.keep("quickstart", took)
    seconds = sum(took.values())
    note = f"two CPUs, images on the node: {', '.join(f'{each:.1f} s' for each in took.values())}"
    yield at_most("empty cluster -> chart installed -> first agent done", round(seconds, 1), MOST_SECONDS, "s", note)
    yield at_most("  commands typed", len(commands), MOST_COMMANDS, "", "; ".join(each[:40] for each in commands))
    loaded = (
        "archives of operator, gateway, sidecar and starter unpacked on the node, which a registry would send besides"
    )
    yield for_comparison("  in place of pulls: images loaded", round(bed.load_seconds, 1), "s", loaded)


def first_commands(page: str) -> list[str]:
    """Return what a reader with a cluster types up to the first agent; blocks with `make` are for those without one."""
    blocks = [block for block in _BLOCK.finditer(page) if not re.search(r"^make ", block[2], re.MULTILINE)]
    commands = [command for block in blocks for command in _commands(block[1], block[2])]
    first = next(index for index, command in enumerate(commands) if command.startswith(BEGINS))
    last = next(index for index, command in enumerate(commands) if index > first and command.startswith(ENDS))
    return commands[first : last + 1]


def _commands(kind: str, text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    if kind == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith(("#", " "))]


def _typed(bed: Bed, commands: list[str]) -> dict[str, float]:
    """Return seconds by command. Raises RuntimeError if one fails."""
    took = {}
    with bed.programs() as programs:
        kubeconfig = programs / "kubeconfig"  # a command of the page writes into it
        kubeconfig.write_bytes(bed.cluster.kubeconfig.read_bytes())
        environment = {**os.environ, **HOMES, "KUBECONFIG": str(kubeconfig), "PATH": _path(programs)}
        for command in commands:
            began = time.monotonic()
            ran = subprocess.run(
                shlex.split(command, comments=True),
                cwd=REPOSITORY,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_LONGEST_SECONDS,
                check=False,
            )
            if ran.returncode:
                raise RuntimeError(f"{command}: {ran.stderr or ran.stdout}")
            took[command] = round(time.monotonic() - began, 2)
    return took


def _path(programs: Path) -> str:
    return os.pathsep.join([str(programs), str(TOOLS), os.environ["PATH"]])
