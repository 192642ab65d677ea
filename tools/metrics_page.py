"""From the registries of every process to the reference page of metrics."""

import asyncio
from collections.abc import Iterable, Iterator

from tools.exposed import Exposed, exposed_by, names_of

HEADER = "<!-- Made by `make generate` from the registries of operator, gateway and sidecar: change it there. -->\n\n"
_INTRODUCTION = """\
# Metrics

What each process exposes, by the names that its series have. [Monitoring](../operations/monitoring.md) says how they
are scraped, and which dashboards and alerts there are. Names that agents ask for are in no metric, since they are
without bounds; a `policy` is one that the gateway serves, so there are no more of them than port sets.
"""
_PROCESSES = {
    "operator": ("The operator", "Port 8080 of its pods, `/metrics`."),
    "control": ("The control process", "Port 8081 of the operator's pods, `/metrics`."),
    "gateway": ("The egress gateway", "Port 8082 of its pods, `/metrics`."),
    "sidecar": (
        "A sidecar",
        "Port 8812 of the agent's pod, `/metrics`. The monitors of the chart add the label `agent`.",
    ),
}
_OF_LIBRARIES = ("process_", "python_")


def metrics_page() -> str:
    """Return the page in Markdown."""
    found = asyncio.run(exposed_by())
    parts = [_INTRODUCTION]
    for process, (title, place) in _PROCESSES.items():
        own = [each for each in found if each.process == process and not _is_of_library(each)]
        parts += [f"## {title}\n", f"{place}\n", _table(own)]
    parts += [
        "## Of every process\n",
        "What Python's client tells of its process; not every process tells all of it.\n",
        _table(_once(each for each in found if _is_of_library(each))),
    ]
    return HEADER + "\n".join(parts)


def _is_of_library(each: Exposed) -> bool:
    return each.metric.name.startswith(_OF_LIBRARIES)


def _once(found: Iterable[Exposed]) -> Iterator[Exposed]:
    return iter({each.metric.name: each for each in found}.values())


def _table(found: Iterable[Exposed]) -> str:
    rows = ["| Metric | Type | Labels | Says |", "| --- | --- | --- | --- |", *map(_row, found)]
    return "\n".join(rows) + "\n"


def _row(each: Exposed) -> str:
    labels = ", ".join(f"`{label}`" for label in each.labels)
    first = next(names_of(each.metric)).removesuffix("_bucket")
    cells = (f"`{first}`", each.metric.type, labels, each.metric.documentation.rstrip("."))
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)
