"""What `exposed` finds is all that there is."""

import ast
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric

from tools.exposed import exposed

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("operator/ringfence_operator", "gateway/ringfence_gateway", "sidecar/ringfence_sidecar")
MAKERS = ("Counter", "Gauge", "Histogram", "Summary", "MetricFamily", "_counter", "_gauge", "_seconds")


def made_in(path: Path) -> Iterator[str]:
    """Yield how the names of the metrics begin that a module makes, as far as they stand there."""
    tree = ast.parse(path.read_text())
    imports = {alias.name for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) for alias in each.names}
    if not any(name.endswith(MAKERS) for name in imports):
        return
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call.args and name_of(call.func).endswith(MAKERS):
            yield beginning_of(call.args[0])


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def beginning_of(argument: ast.expr) -> str:
    """Return the text that an argument begins with; nothing where that is a variable."""
    first = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
    return str(first.value) if isinstance(first, ast.Constant) else ""


async def test_each_metric_that_the_code_makes_is_found() -> None:
    known = await exposed()

    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            lost = {name for name in made_in(path) if not any(each.startswith(name) for each in known)}
            assert not lost, f"{path}: add {lost} to tools/exposed.py"


async def test_of_each_process_something_is_found() -> None:
    known = await exposed()

    assert known["ringfence_agents"].type == "gauge"
    assert known["ringfence_control_gateways"].type == "gauge"
    assert known["ringfence_gateway_requests_total"].type == "counter"
    assert known["ringfence_sidecar_call_seconds_bucket"].type == "histogram"
    assert known["ringfence_sidecar_cache_reachable"].type == "gauge"


async def test_each_metric_of_ours_says_what_it_is() -> None:
    metrics: list[Metric] = [metric for name, metric in (await exposed()).items() if name.startswith("ringfence_")]

    assert [metric.name for metric in metrics if not metric.documentation] == []
