"""No value of the chart is there for nothing."""

import pytest

from tests.chart.chart import merged, nested, objects
from tests.chart.row import Row
from tests.chart.rows import rows
from tools.chart import chart_values, leaves

ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.value)
def test_another_value_shows_in_what_is_rendered(row: Row) -> None:
    # The kinds are most of what Helm has to do.
    also = row.also if row.value.startswith("crds.") else merged(nested("crds.enabled", False), row.also)
    before = row.look(objects(also))

    after = row.look(objects(merged(also, nested(row.value, row.given))))

    assert after == row.expected
    assert before != row.expected


def test_every_value_is_in_a_row() -> None:
    assert {row.value for row in ROWS} == {each.name for each in leaves(chart_values())}
