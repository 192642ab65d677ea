"""Each query of each dashboard gives data of a real run, to a real Prometheus that scraped it."""

import re
from collections.abc import Mapping
from math import isfinite

import pytest

from tests.e2e.dashboards.conftest import Watched
from tests.e2e.dashboards.prometheus import SCRAPE_SECONDS, Series
from tests.e2e.world import AgentHandle
from tests.monitoring.case import rules
from tests.monitoring.promql import filled_in
from tools.dashboards import DASHBOARDS
from tools.dashboards.panel import Dashboard, Kind, Panel, Query, Variable
from tools.exposed import exposed

SHOWN_SECONDS = 600
RATE = f"{SCRAPE_SECONDS * 60}s"
MOST = 30
"""Series of a panel; ten at once that change in time, or states, codes and the like."""
QUERIES = [
    pytest.param(dashboard, panel, query, id=f"{dashboard.uid}: {panel.title} {place}")
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    for place, query in enumerate(panel.queries)
]
VARIABLES = [
    pytest.param(dashboard, variable, id=f"{dashboard.uid}: {variable.name}")
    for dashboard in DASHBOARDS
    for variable in dashboard.variables
]


def chosen(dashboard: Dashboard, worker: AgentHandle) -> Mapping[str, str]:
    """Return the values of its variables: of those that take one value, the worker's."""
    its = {"namespace": worker.namespace, "agent": worker.name}
    return {each.name: ".*" if each.is_multiple else its[each.name] for each in dashboard.variables}


def asked(watched: Watched, dashboard: Dashboard, panel: Panel, query: Query) -> list[Series]:
    """Return what Grafana would be told."""
    values = chosen(dashboard, watched.deeds.worker)
    expr = filled_in(query.expr, values, rate=RATE, shown=f"{SHOWN_SECONDS}s")
    if panel.kind is Kind.GRAPH:
        return watched.prometheus.in_time(expr, seconds=SHOWN_SECONDS)
    return watched.prometheus.at_once(expr)


@pytest.mark.parametrize(("dashboard", "panel", "query"), QUERIES)
def test_query_of_a_panel_returns_data(watched: Watched, dashboard: Dashboard, panel: Panel, query: Query) -> None:
    found = asked(watched, dashboard, panel, query)

    assert any(isfinite(value) for each in found for value in each.values), query.expr
    assert all(value >= 0 for each in found for value in each.values if isfinite(value))


@pytest.mark.parametrize(("dashboard", "panel", "query"), QUERIES)
def test_series_of_a_panel_are_few_and_have_the_labels_that_it_names(
    watched: Watched, dashboard: Dashboard, panel: Panel, query: Query
) -> None:
    found = asked(watched, dashboard, panel, query)

    # A label without a value is left out: that of a call whose connector or operation does not exist.
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= {label for each in found for label in each.labels}
    assert len(found) <= MOST


@pytest.mark.parametrize(("dashboard", "variable"), VARIABLES)
def test_variable_has_values_to_choose_from(watched: Watched, dashboard: Dashboard, variable: Variable) -> None:
    worker = watched.deeds.worker
    values = watched.prometheus.values_of(variable.label, filled_in(variable.metric, chosen(dashboard, worker)))

    assert values
    if variable.name in {"namespace", "agent"}:
        assert {"namespace": worker.namespace, "agent": worker.name}[variable.name] in values


async def test_what_was_scraped_is_what_the_code_exposes(watched: Watched) -> None:
    scraped = {name for name in watched.prometheus.families() if not name.endswith("_created")}
    known = await exposed()
    families = {metric.name for metric in known.values()} | known.keys()

    assert {name for name in scraped if not name.startswith(("scrape_", "up"))} <= families


def test_no_alert_of_what_is_well_has_a_reason_to_fire(watched: Watched) -> None:
    well = ("RingfenceOperatorAbsent", "RingfenceNoLeader", "RingfenceTwoLeaders", "RingfenceReconcileStuck")
    pools = ("RingfencePoolEmpty", "RingfencePoolPodsFailing")
    for name in (*well, "RingfenceGatewayAbsent", "RingfenceGatewayNotConnected", "RingfenceCacheAway", *pools):
        assert watched.prometheus.at_once(rules()[name]["expr"]) == [], name


def test_alerts_of_what_is_not_well_have_one(watched: Watched) -> None:
    ill = ("RingfenceAgentsFailed", "RingfenceConnectorDown", "RingfenceEndpointUnhealthy", "RingfenceQuotaNearlyUsed")
    for name in (*ill, "RingfenceQuotaRefusing"):
        assert watched.prometheus.at_once(rules()[name]["expr"]), name
