"""The options that commands share, as kubectl has them: before a command's name or after it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import click

from ringfence_cli.output.document import Form
from ringfence_kube.connection import Connection, Target, connect

Command = TypeVar("Command", bound=Callable[..., Any])
Connect = Callable[[Target], Connection]


@dataclass
class Context:
    """What commands get: where to, as far as the command line has said by now."""

    connect: Connect = connect
    target: Target = field(default_factory=Target)

    def add(self, **given: str | None) -> None:
        """Take over what was given; what comes later on the line wins."""
        self.target = replace(self.target, **{name: text for name, text in given.items() if text is not None})

    def connection(self) -> Connection:
        """Return the way to the cluster. Raises ClusterError."""
        return self.connect(self.target)


def cluster_options(command: Command) -> Command:
    """Have a command take --kubeconfig, --context and --namespace, and hand it a Context instead."""

    @click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; without it $KUBECONFIG, then ~/.kube/config.")
    @click.option("--context", metavar="NAME", help="The kubeconfig's context to use instead of the current one.")
    @click.option("-n", "--namespace", metavar="NAME", help="The namespace, instead of the context's.")
    @click.pass_context
    @functools.wraps(command)
    def taking(
        ctx: click.Context,
        /,
        kubeconfig: str | None,
        context: str | None,
        namespace: str | None,
        **given: Any,
    ) -> Any:
        found = ctx.ensure_object(Context)
        found.add(kubeconfig=kubeconfig, context=context, namespace=namespace)
        return ctx.invoke(command, found, **given)

    return cast("Command", taking)


def all_namespaces(command: Command) -> Command:
    """Have a command take -A."""
    option = click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Look at every namespace.")
    return option(command)


def output_option(command: Command) -> Command:
    """Have a command take --output."""
    option = click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(Form, case_sensitive=False),
        default=Form.TABLE,
        help="For people (table, if it is not given), or for programs.",
    )
    return option(command)
