"""What an alert makes of series: cases for promtool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tools.chart import CHART

RULES = CHART / "rules/ringfence.yaml"
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fires:
    """What the alert says then: labels besides its severity, and its description."""

    description: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """With these series, a value a minute in promtool's notation, the alert fires at `minute`, or does not."""

    alert: str
    title: str
    minute: int
    series: Mapping[str, str]
    fires: Fires | None = None


def fires(alert: str, minute: int, series: Mapping[str, str], description: str, **labels: str) -> Case:
    """Return a case in which an alert fires."""
    return Case(alert, "fires", minute, series, Fires(description, labels))


def quiet(alert: str, title: str, minute: int, series: Mapping[str, str]) -> Case:
    """Return a case in which it does not, and why."""
    return Case(alert, title, minute, series)


def rules() -> dict[str, Body]:
    """Return the alerts by their names."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def cases_file(cases: tuple[Case, ...]) -> str:
    """Return the file that `promtool test rules` takes."""
    known = rules()
    tests = [_test(case, known[case.alert]) for case in cases]
    return yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}, sort_keys=False)


def _test(case: Case, rule: Body) -> Body:
    expected = []
    if case.fires:
        said = {**rule["annotations"], "description": case.fires.description}
        expected = [{"exp_labels": {**rule["labels"], **case.fires.labels}, "exp_annotations": said}]
    return {
        "name": f"{case.alert}: {case.title}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [{"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": expected}],
    }
