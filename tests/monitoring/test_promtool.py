"""The real promtool reads every rule and every query, and says when each alert fires."""

import re
import subprocess
from pathlib import Path

import yaml

from tests.monitoring.case import RULES, cases_file, rules
from tests.monitoring.cases import CASES
from tests.monitoring.promql import filled_in
from tools.dashboards import DASHBOARDS

PAGE = Path(__file__).resolve().parents[2] / "docs/operations/monitoring.md"
SECONDS = 60


def run(promtool: Path, *arguments: str | Path) -> str:
    ran = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_each_alert_fires_when_it_is_to_and_not_otherwise(promtool: Path, tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(cases_file(CASES))

    assert "SUCCESS" in run(promtool, "test", "rules", path)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    firing = [case.alert for case in CASES if case.fires]
    quiet = [case.alert for case in CASES if not case.fires]

    assert firing == quiet == list(rules())


def test_rules_are_in_order(promtool: Path) -> None:
    assert "SUCCESS" in run(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_each_query_of_a_panel_is_promql(promtool: Path, tmp_path: Path) -> None:
    queries = [query.expr for each in DASHBOARDS for panel in each.panels for query in panel.queries]
    recorded = [{"record": f"panel:{number}", "expr": filled_in(expr)} for number, expr in enumerate(queries)]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))

    assert f"{len(queries)} rules found" in run(promtool, "check", "rules", path)


def test_configuration_that_the_page_gives_is_prometheus(promtool: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(scrape_configs:\n.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "prometheus.yaml"
    path.write_text(text)

    assert "SUCCESS" in run(promtool, "check", "config", "--lint=all", "--lint-fatal", path)
