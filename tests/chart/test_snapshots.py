"""What a change of the chart changes is seen in a review."""

import pytest

from tests.chart.everything import LEFT_OUT, everything
from tests.chart.snapshots import HERE, rendered, sets, template_names
from tools.chart import chart_values, leaves

ANEW = "run python -m tests.chart.snapshots, and look at what it changed"
CASES = [(folder, name) for folder in sets() for name in sorted(template_names())]


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_template_renders_to_its_snapshot(folder: str, name: str) -> None:
    path = HERE / folder / name

    assert rendered(sets()[folder]).get(name) == (path.read_text() if path.exists() else None), ANEW


def test_every_template_has_a_snapshot_and_every_snapshot_a_template() -> None:
    kept = {path.relative_to(HERE / folder).as_posix() for folder in sets() for path in (HERE / folder).rglob("*.yaml")}

    assert kept == template_names()


def test_everything_differs_from_the_defaults_in_each_value_that_it_says_it_does() -> None:
    given = everything()
    same = {each.name for each in leaves(chart_values()) if not differs(each.path, given, each.default)}

    assert same == LEFT_OUT.keys()


def differs(path: tuple[str, ...], given: object, default: object) -> bool:
    for key in path:
        if not isinstance(given, dict) or key not in given:
            return False
        given = given[key]
    return given != default
