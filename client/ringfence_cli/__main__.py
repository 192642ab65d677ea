"""`ringfence`, `kubectl ringfence`, and what kubectl asks to complete the latter."""

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete

from ringfence_cli.app import app
from ringfence_cli.commands.completion import PROGRAM, VARIABLE
from ringfence_kube.errors import ClusterError

_NO_FILES = ":4"
"""cobra's ShellCompDirectiveNoFileComp: what is not among these is no file either."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 1 where it failed, 2 where it was not understood, else what the command says."""
    try:
        app.main(arguments, prog_name=PROGRAM, complete_var=VARIABLE)
    except ClusterError as error:
        click.echo(f"ringfence: {error}", err=True)
        sys.exit(1)


def complete_for_kubectl(arguments: Sequence[str] | None = None) -> None:
    """Answer kubectl: a line for each word that may follow, the last argument being its beginning."""
    *before, begun = list(sys.argv[1:] if arguments is None else arguments) or [""]
    found = ShellComplete(app, {}, PROGRAM, VARIABLE).get_completions(before, begun)
    for each in found:
        click.echo(f"{each.value}\t{each.help or ''}".rstrip("\t"))
    click.echo(_NO_FILES)


if __name__ == "__main__":
    main()
