"""Each alert says what is wrong, to whom it matters, and what to do."""

import re
from pathlib import Path

import pytest
import yaml

from tests.monitoring.case import RULES, Body, rules
from tests.monitoring.promql import grouped_by
from tools.chart import CHART

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs/operations/runbooks"
PAGE = ROOT / "docs/operations/monitoring.md"
ALERTS = rules()
HEADINGS = ["## What it means", "## How to look", "## What to do"]


def each_alert() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "rule"), ALERTS.items(), ids=list(ALERTS))


@each_alert()
def test_alert_says_what_is_wrong_and_how_bad_it_is(name: str, rule: Body) -> None:
    assert re.fullmatch("Ringfence[A-Z][A-Za-z]+", name)
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert "{{" not in rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith((".", ".)"))


@each_alert()
def test_alert_names_labels_that_its_expression_keeps(name: str, rule: Body) -> None:
    named = re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"])

    assert set(named) <= grouped_by(rule["expr"])


@each_alert()
def test_alert_that_looks_at_one_moment_waits_for_more_of_them(name: str, rule: Body) -> None:
    assert "for" in rule or re.search(r"\[\d+m\]", rule["expr"])


@each_alert()
def test_runbook_of_an_alert_is_where_it_says(name: str, rule: Body) -> None:
    address = yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["runbookUrl"]
    page = (RUNBOOKS / f"{name}.md").read_text()

    assert rule["annotations"]["runbook_url"] == address.replace("ALERT", name)
    assert page.startswith(f"# {name}\n")
    assert re.findall("^## .*$", page, re.MULTILINE) == HEADINGS
    assert "kubectl" in page


@each_alert()
def test_runbook_of_an_alert_is_a_page_of_the_site(name: str, rule: Body) -> None:
    config = (ROOT / "mkdocs.yml").read_text()
    base = re.findall("^site_url: (.+/)$", config, re.MULTILINE)[0]

    path = rule["annotations"]["runbook_url"].removeprefix(base).removesuffix("/")

    assert "use_directory_urls: true" in config
    assert f"- {path}.md\n" in config
    assert (ROOT / "docs" / f"{path}.md").is_file()


def test_each_runbook_is_of_an_alert_and_the_page_leads_to_all() -> None:
    pages = {path.stem for path in RUNBOOKS.iterdir()}
    linked = re.findall(r"\(runbooks/(\w+)\.md\)", PAGE.read_text())

    assert pages == ALERTS.keys()
    assert sorted(linked) == sorted(ALERTS)


def test_page_gives_each_alert_its_severity() -> None:
    said = dict(re.findall(r"^\| \[(\w+)\]\(runbooks/\w+\.md\) \| (\w+) \|", PAGE.read_text(), re.MULTILINE))

    assert said == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}


def test_only_the_gateways_alerts_go_with_the_gateway() -> None:
    groups = {group["name"]: group["rules"] for group in yaml.safe_load(RULES.read_text())["groups"]}

    for name, found in groups.items():
        of_gateway = ["ringfence_gateway" in rule["expr"] for rule in found]
        assert all(of_gateway) if name == "ringfence-gateway" else not any(of_gateway)
