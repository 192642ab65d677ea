"""A dashboard as Grafana reads it."""

import json
from typing import Any

from tools.dashboards.panel import Dashboard, Kind, Link, Panel, Query, Unit, Variable

Body = dict[str, Any]
SCHEMA_VERSION = 39
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "ringfence"
_COLUMNS = 24
_HEIGHTS = {Kind.GRAPH: 8, Kind.BARS: 8, Kind.FIGURE: 4}
_ENFORCED = [
    {"type": "value", "options": {"0": {"text": "no", "color": "red"}, "1": {"text": "yes", "color": "green"}}}
]


def dashboard_text(dashboard: Dashboard) -> str:
    """Return the file of a dashboard."""
    return json.dumps(dashboard_body(dashboard), indent=2, ensure_ascii=False) + "\n"


def dashboard_body(dashboard: Dashboard) -> Body:
    """Return a dashboard as an object of Grafana's schema."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [_others()],
        "templating": {"list": [_datasource(), *(_variable(each) for each in dashboard.variables)]},
        "panels": _panels(dashboard),
    }


def _others() -> Body:
    """Return the menu of all our dashboards, which keeps time and variables."""
    return {
        "type": "dashboards",
        "title": "Ringfence",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _datasource() -> Body:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def _variable(variable: Variable) -> Body:
    every = {"text": ["All"], "value": ["$__all"]}
    return {
        "name": variable.name,
        "label": variable.name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": variable.is_multiple,
        "includeAll": variable.is_multiple,
        "allValue": ".*" if variable.is_multiple else None,
        "current": every if variable.is_multiple else {},
    }


def _panels(dashboard: Dashboard) -> list[Body]:
    """Return headings and panels, from left to right and from top to bottom."""
    made: list[Body] = []
    top = 0
    for row in dashboard.rows:
        made.append(_heading(row.title, number=len(made) + 1, top=top))
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": _HEIGHTS[panel.kind]}
            made.append(_panel(panel, number=len(made) + 1, place=place))
            left, height = left + panel.width, max(height, _HEIGHTS[panel.kind])
        top += height
    return made


def _heading(title: str, *, number: int, top: int) -> Body:
    place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, *, number: int, place: Body) -> Body:
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(query, chr(ord("A") + place), panel.kind) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel.kind),
    }


def _target(query: Query, letter: str, kind: Kind) -> Body:
    is_instant = kind is not Kind.GRAPH
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": is_instant,
        "range": not is_instant,
    }


def _defaults(panel: Panel) -> Body:
    first = {"color": panel.base.value, "value": None}
    steps = [first, *({"color": colour.value, "value": value} for value, colour in panel.steps)]
    made: Body = {"unit": panel.unit.value, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.most is not None:
        made["max"] = panel.most
    if panel.unit is Unit.YES_OR_NO:
        made["mappings"] = _ENFORCED
    if panel.link:
        made["links"] = [_link(panel.link)]
    if panel.kind is Kind.GRAPH:
        made["color"] = {"mode": "palette-classic"}
        made["custom"] = _lines(panel)
    else:
        made["color"] = {"mode": "thresholds"}
    return made


def _lines(panel: Panel) -> Body:
    mode = "normal" if panel.is_stacked else "none"
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if panel.is_stacked else 0,
        "showPoints": "never",
        "stacking": {"mode": mode, "group": "A"},
        "thresholdsStyle": {"mode": "line" if panel.steps else "off"},
    }


def _options(kind: Kind) -> Body:
    last: Body = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match kind:
        case Kind.GRAPH:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case Kind.FIGURE:
            return {"reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "value"}
        case Kind.BARS:
            return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}


def _link(link: Link) -> Body:
    variables = [f"var-{variable}=${{__field.labels.{label}}}" for variable, label in link.labels]
    query = "&".join([*variables, "${__url_time_range}", "${datasource:queryparam}"])
    return {"title": link.title, "url": f"/d/{link.uid}?{query}", "targetBlank": False}
