"""Completion of names: what the cluster has, and silence where it cannot be asked."""

import click
from click.shell_completion import ShellComplete

from ringfence_cli.app import app
from ringfence_cli.options import Context
from tests.cli.cluster import Cluster


def completed(cluster: Cluster, *before: str, begun: str = "") -> list[str]:
    complete = ShellComplete(app, {"obj": Context(cluster.connect)}, "ringfence", "_RINGFENCE_COMPLETE")
    return [each.value for each in complete.get_completions(list(before), begun)]


def test_names_of_agents_are_completed(cluster: Cluster) -> None:
    for name in ("analyst", "archivist", "clerk"):
        cluster.add("agents", name, {"image": "x"})

    assert completed(cluster, "explain", begun="a") == ["analyst", "archivist"]


def test_the_namespace_that_the_line_names_is_asked(cluster: Cluster) -> None:
    completed(cluster, "--context", "far", "logs", "-n", "den")

    (target,) = cluster.targets
    assert (target.context, target.namespace) == ("far", "den")


def test_names_of_the_kind_that_the_line_names_are_completed(cluster: Cluster) -> None:
    cluster.add("quotas", "few", {"limits": []})
    cluster.add("agents", "fetcher", {"image": "x"})

    assert completed(cluster, "get", "quota", begun="f") == ["few"]
    assert completed(cluster, "get", begun="ag") == ["agents"]


def test_without_a_cluster_nothing_is_completed(cluster: Cluster) -> None:
    cluster.is_away = True

    assert completed(cluster, "explain") == []
    assert click.get_current_context(silent=True) is None
