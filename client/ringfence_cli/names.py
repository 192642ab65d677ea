"""Completes names of objects: asks the cluster that the line names so far, and is silent where it cannot."""

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from ringfence_cli.options import Context
from ringfence_kube.errors import ClusterError
from ringfence_kube.objects import collection, name_of, status_of

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_of(*resources: str) -> Complete:
    """Return what completes names of objects of these kinds."""

    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            connection = _context(ctx).connection()
            found = [
                each
                for resource in resources
                for each in connection.api.items(collection(resource, connection.namespace))
            ]
        except ClusterError:
            return []
        return [
            CompletionItem(name_of(each), help=str(status_of(each).get("state") or each["kind"]))
            for each in found
            if name_of(each).startswith(begun)
        ]

    return complete


def _context(ctx: click.Context) -> Context:
    """Return what the line says so far: while a shell asks, no command's function has run."""
    given = ctx.find_object(Context)
    found = Context(given.connect) if given else Context()
    for each in (ctx.find_root(), ctx):
        found.add(**{name: each.params.get(name) for name in ("kubeconfig", "context", "namespace")})
    return found
