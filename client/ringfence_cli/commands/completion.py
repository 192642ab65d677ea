"""`ringfence completion`."""

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "ringfence", "_RINGFENCE_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands, options and names of objects.

    \b
      source <(ringfence completion bash)            # in ~/.bashrc
      source <(ringfence completion zsh)             # in ~/.zshrc
      ringfence completion fish | source             # in ~/.config/fish/config.fish

    `kubectl ringfence` is completed by kubectl's own completion, from 1.26 on.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
