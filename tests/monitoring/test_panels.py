"""Dashboards show all that there is, and nothing else."""

import json
import re
from itertools import combinations, pairwise

import pytest

from tests.monitoring.case import rules
from tests.monitoring.promql import grouped_by, metrics_of, variables_of
from tools.chart import CHART
from tools.dashboards import DASHBOARDS
from tools.dashboards.grafana import dashboard_body
from tools.dashboards.panel import Dashboard, Kind, Panel, Unit
from tools.dashboards.without_panel import WITHOUT_PANEL
from tools.exposed import exposed

PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
BY_UID = {dashboard.uid: dashboard for dashboard in DASHBOARDS}
GROWING = {"namespace", "agent", "pod", "instance", "policy", "quota", "connector", "pool"}
"""Labels that have as many values as somebody makes objects."""
OUTERMOST = re.compile(
    r"(?:time\(\) - )?(?:histogram_quantile\([\d.]+, )?(?:sum|max|min|avg|count)(?: by \(([^)]*)\))? ?\("
)


def each_panel() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("dashboard", "panel"), PANELS, ids=[f"{dashboard.uid}: {panel.title}" for dashboard, panel in PANELS]
    )


def queries() -> list[str]:
    return [query.expr for _, panel in PANELS for query in panel.queries]


def variables() -> list[str]:
    return [each.metric for dashboard in DASHBOARDS for each in dashboard.variables]


async def test_each_metric_of_a_query_is_one_that_the_code_exposes() -> None:
    known = await exposed()
    alerts = [rule["expr"] for rule in rules().values()]

    for expr in (*queries(), *variables(), *alerts):
        assert metrics_of(expr), expr
        assert metrics_of(expr) <= known.keys(), expr


async def test_each_metric_has_a_panel_or_a_reason() -> None:
    known = await exposed()
    shown = {known[name].name for expr in queries() for name in metrics_of(expr)}
    lacking = {name for name, metric in known.items() if metric.name not in shown}

    assert lacking == WITHOUT_PANEL.keys()


@each_panel()
def test_panel_says_what_it_shows_and_in_what_unit(dashboard: Dashboard, panel: Panel) -> None:
    assert panel.unit in Unit
    assert panel.about.endswith((".", ".)"))
    assert all(query.legend for query in panel.queries)
    assert panel.kind is not Kind.FIGURE or len(panel.queries) == 1


@each_panel()
def test_steps_of_a_panel_rise_and_each_changes_the_colour(dashboard: Dashboard, panel: Panel) -> None:
    values = [value for value, _ in panel.steps]
    colours = [panel.base, *(colour for _, colour in panel.steps)]

    assert values == sorted(set(values))
    assert all(before is not after for before, after in pairwise(colours))


@each_panel()
def test_panel_has_no_more_series_the_more_objects_there_are(dashboard: Dashboard, panel: Panel) -> None:
    chosen = {each.name for each in dashboard.variables if not each.is_multiple}

    for query in panel.queries:
        is_bounded = query.expr.startswith(("topk(10, ", "bottomk(10, "))
        of_one_agent = "agent" in chosen
        assert is_bounded or of_one_agent or not final_labels(query.expr) & GROWING, query.expr
        assert panel.kind is not Kind.FIGURE or not final_labels(query.expr), query.expr


def final_labels(expr: str) -> set[str]:
    """Return the labels of an expression's result: those of its outermost aggregation, or of all if it has none."""
    outer = OUTERMOST.match(expr)
    assert outer, f"{expr} is no aggregation"
    return {label.strip() for label in (outer[1] or "").split(",") if label.strip()} - {"le"}


@each_panel()
def test_legend_names_labels_that_the_query_keeps(dashboard: Dashboard, panel: Panel) -> None:
    for query in panel.queries:
        assert set(re.findall(r"{{(\w+)}}", query.legend)) <= grouped_by(query.expr)


@each_panel()
def test_variable_of_a_query_is_one_of_its_dashboard(dashboard: Dashboard, panel: Panel) -> None:
    names = {each.name for each in dashboard.variables}

    assert {name for query in panel.queries for name in variables_of(query.expr)} <= names


@each_panel()
def test_link_leads_to_a_dashboard_with_labels_that_the_query_keeps(dashboard: Dashboard, panel: Panel) -> None:
    if panel.link is None:
        return
    there = BY_UID[panel.link.uid]

    assert there is not dashboard
    assert {variable for variable, _ in panel.link.labels} <= {each.name for each in there.variables}
    for query in panel.queries:
        assert {label for _, label in panel.link.labels} <= grouped_by(query.expr) | chosen_in(dashboard)


def chosen_in(dashboard: Dashboard) -> set[str]:
    return {each.name for each in dashboard.variables if not each.is_multiple}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_variables_are_used_and_depend_on_those_before_them(dashboard: Dashboard) -> None:
    used = {name for panel in dashboard.panels for query in panel.queries for name in variables_of(query.expr)}
    before: set[str] = set()

    for each in dashboard.variables:
        assert variables_of(each.metric) <= before
        before.add(each.name)
    assert used == before


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_panels_lie_beside_one_another_on_the_grid(dashboard: Dashboard) -> None:
    places = [panel["gridPos"] for panel in dashboard_body(dashboard)["panels"]]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_uids_and_files_are_one_each() -> None:
    files = {path.stem: json.loads(path.read_text()) for path in (CHART / "dashboards").iterdir()}

    assert files.keys() == BY_UID.keys()
    assert {uid: body["uid"] for uid, body in files.items()} == {uid: uid for uid in BY_UID}
    assert len({body["title"] for body in files.values()}) == len(DASHBOARDS)


def test_each_dashboard_is_led_to_and_has_the_menu_of_all() -> None:
    led_to = {panel.link.uid for _, panel in PANELS if panel.link}

    assert led_to == BY_UID.keys() - {"ringfence-fleet"}
    for dashboard in DASHBOARDS:
        body = dashboard_body(dashboard)
        (menu,) = body["links"]
        assert set(menu["tags"]) <= set(body["tags"])


def test_title_of_a_panel_is_its_own_on_its_dashboard() -> None:
    for dashboard in DASHBOARDS:
        titles = [panel.title for panel in dashboard.panels]
        assert len(titles) == len(set(titles)), dashboard.uid
