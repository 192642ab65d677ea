"""What each template renders, kept as files: `python -m tests.chart.snapshots` writes them anew."""

import re
import shutil
from pathlib import Path

from devcluster.binaries import build
from devcluster.step import Progress
from tests.chart.chart import Body, templates
from tests.chart.demo_rows import DEMO
from tests.chart.everything import everything
from tools.chart import CHART, chart_version

HERE = Path(__file__).parent / "snapshots"
ELSEWHERE = ("crds/", "dashboards/")
"""Templates of the kinds and of dashboards: generated, and held against their files object by object."""


def sets() -> dict[str, Body]:
    """Return the values that there are snapshots for, by folder."""
    cilium = {"settings": {"egressBackend": "cilium"}, "rbac": {"namespaces": ["research", "support"]}}
    pod_monitors = {"metrics": {"podMonitor": {"enabled": True}}}
    return {"default": {}, "everything": everything(), "cilium": cilium | pod_monitors, "demo": DEMO}


def rendered(values: Body) -> dict[str, str]:
    """Return the text of each template, without the chart's version."""
    version = re.compile(rf"(?<=[-:\"]){re.escape(chart_version())}(?![.0-9])")
    own = {name: text for name, text in templates(values).items() if not name.startswith(ELSEWHERE)}
    return {name: version.sub("VERSION", text).strip() + "\n" for name, text in own.items()}


def template_names() -> set[str]:
    """Return the names of all templates that there are to be snapshots of."""
    folder = CHART / "templates"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")}
    return {name for name in names if not name.startswith(ELSEWHERE)}


def write() -> None:
    """Write all of them anew."""
    build(["helm"], Progress("Helm"))
    shutil.rmtree(HERE, ignore_errors=True)
    for folder, values in sets().items():
        for name, text in rendered(values).items():
            path = HERE / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    write()
