"""The Grafana dashboards that the chart brings: made by `python -m tools.generate`."""

from tools.dashboards import agent, connectors, egress, fleet, operator, pools, quotas
from tools.dashboards.grafana import dashboard_text

DASHBOARDS = (
    fleet.DASHBOARD,
    agent.DASHBOARD,
    connectors.DASHBOARD,
    quotas.DASHBOARD,
    pools.DASHBOARD,
    egress.DASHBOARD,
    operator.DASHBOARD,
)


def dashboard_files() -> dict[str, str]:
    """Return the text of each dashboard by its path from the repository's root."""
    return {f"charts/ringfence/dashboards/{each.uid}.json": dashboard_text(each) for each in DASHBOARDS}
