"""The chart as the real Helm renders it, without a cluster."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from devcluster.binaries import binary
from devcluster.cluster import cache_home
from tools.chart import CHART, Value, chart_values

Body = dict[str, Any]
NAMESPACE = "ringfence-system"
RELEASE = "rf"
_SOURCE = "# Source: ringfence/templates/"
_SECONDS = 60
HOMES = {f"HELM_{name}_HOME": str(cache_home() / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}


class RefusedError(Exception):
    """Helm renders nothing; the text is what it says."""


def run_helm(*arguments: str, values: Mapping[str, Any]) -> str:
    """Return what Helm prints with these values. Raises RefusedError."""
    ran = subprocess.run(
        [binary("helm"), *arguments, "--values", "-"],
        input=json.dumps(values),
        env={**os.environ, **HOMES, "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if ran.returncode:
        raise RefusedError(ran.stderr + ran.stdout)
    return ran.stdout


def templates(values: Mapping[str, Any] | None = None, *, namespace: str = NAMESPACE) -> dict[str, str]:
    """Return the manifests by the template that they come from; one that renders nothing is not there."""
    return _rendered(json.dumps(dict(values or {}), sort_keys=True), namespace)


def objects(values: Mapping[str, Any] | None = None, *, namespace: str = NAMESPACE) -> list[Body]:
    """Return all objects of a release; they are not to be changed."""
    texts = templates(values, namespace=namespace).values()
    return [body for text in texts for body in _parsed(text)]


@functools.cache
def _rendered(values: str, namespace: str) -> dict[str, str]:
    text = run_helm("template", RELEASE, str(CHART), "--namespace", namespace, values=json.loads(values))
    found: dict[str, str] = {}
    for document in text.split("---\n" + _SOURCE)[1:]:
        name, _, body = document.partition("\n")
        found[name] = f"{found[name]}---\n{body}" if name in found else body
    return found


@functools.cache
def _parsed(text: str) -> list[Body]:
    # The kinds are the bulk of it, and the same every time.
    return [body for body in yaml.load_all(text, Loader=yaml.CSafeLoader) if body]


def notes(values: Mapping[str, Any], scratch: Path) -> str:
    """Return NOTES.txt. Helm prints it only where there is a cluster, so a copy of the chart has it in an object."""
    chart = scratch / "chart"
    shutil.copytree(CHART, chart)
    (chart / "templates/NOTES.txt").rename(chart / "notes.txt")
    (chart / "templates/notes.yaml").write_text('text: |-\n  {{- tpl (.Files.Get "notes.txt") . | nindent 2 }}\n')
    shown = ("--namespace", NAMESPACE, "--show-only", "templates/notes.yaml")
    return str(yaml.safe_load(run_helm("template", RELEASE, str(chart), *shown, values=values))["text"])


def nested(name: str, given: object) -> Body:
    """Return the values in which the one of this name (`operator.replicas`) is as given."""
    body = given
    for key in reversed(name.split(".")):
        body = {key: body}
    assert isinstance(body, dict)
    return body


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> Body:
    """Return both, mappings merged at any depth."""
    both = dict(first)
    for key, held in second.items():
        mine = both.get(key)
        both[key] = merged(mine, held) if isinstance(mine, dict) and isinstance(held, dict) else held
    return both


def branches(values: tuple[Value, ...] | None = None) -> list[Value]:
    """Return the values that hold further values, at any depth."""
    found = []
    for each in chart_values() if values is None else values:
        if each.kind is None:
            found += [each, *branches(each.values)]
    return found
