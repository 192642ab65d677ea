"""What the page of supported versions says is what code, chart and packages ask for."""

import re
import tomllib
from pathlib import Path

import yaml

from ringfence_cli.doctor.checks.cluster import OLDEST
from tools.release import PLATFORMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/operations/supported-versions.md"


def supported(what: str) -> str:
    """Return what the page's table says to be supported."""
    found = re.search(rf"^\| {re.escape(what)} \|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    assert found is not None, f"the page has no row of {what}"
    return found[1].strip()


def test_the_oldest_kubernetes_is_the_one_that_chart_and_doctor_ask_for() -> None:
    chart = yaml.safe_load((ROOT / "charts/ringfence/Chart.yaml").read_text())
    oldest = ".".join(map(str, OLDEST))

    assert supported("Kubernetes").startswith(f"{oldest} to ")
    assert chart["kubeVersion"] == f">={oldest}.0-0"


def test_the_oldest_python_is_the_one_that_the_packages_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    said = supported("Python, for the command line and the library")

    assert f">={said.removesuffix(' or later')}" == project["requires-python"]


def test_the_architectures_are_those_that_images_are_built_for() -> None:
    assert [f"linux/{each}" for each in supported("architecture").split(", ")] == PLATFORMS.split(",")
