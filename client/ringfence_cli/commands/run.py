"""`ringfence run`."""

import secrets
import sys

import click

from ringfence_cli.names import names_of
from ringfence_cli.options import Context, cluster_options
from ringfence_cli.output.screen import err, plain
from ringfence_cli.running import run as run_agent
from ringfence_kube.errors import ClusterError
from ringfence_kube.throwaway import NOT_RUN, Wish, agent_body


def _pairs(_: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for each in given:
        key, equals, text = each.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"write {(parameter.metavar or 'KEY=VALUE')}, not {each}")
        found[key] = text
    return found


@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in a throw-away agent and take it away again.",
)
@click.option(
    "--policy", metavar="NAME", shell_complete=names_of("securitypolicies"), help="SecurityPolicy to run under."
)
@click.option("--quota", metavar="NAME", shell_complete=names_of("quotas"), help="Quota to name.")
@click.option(
    "--connector",
    "connectors",
    multiple=True,
    metavar="NAME",
    shell_complete=names_of("connectors"),
    help="Connector to use; may be given again.",
)
@click.option("-e", "--env", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Variable; may be given again.")
@click.option(
    "-l", "--label", "labels", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="Label of the Agent."
)
@click.option("--isolation", type=click.Choice(("Basic", "Container", "Secure")), help="How far it is confined.")
@click.option("--cpu", metavar="QUANTITY", help="The most cores, such as 500m.")
@click.option("--memory", metavar="QUANTITY", help="The most memory, such as 512Mi.")
@click.option("--timeout", default="1h", show_default=True, metavar="TIME", help="How long it may run, such as 90s.")
@click.option("--name", metavar="NAME", help="Name of the Agent; without it, one is made up.")
@cluster_options
@click.argument("image")
@click.argument("command", nargs=-1, metavar="[-- COMMAND [ARGUMENT]...]")
@click.pass_context
def run(
    ctx: click.Context, context: Context, /, *, name: str | None, image: str, command: tuple[str, ...], **wish: object
) -> None:
    """Run a command in a throw-away agent, print what it writes, and take the agent away.

    The agent is a Task: confined like any other, run once, and deleted at the end, at Ctrl-C and at every signal
    that can be caught. If this program is killed outright, the agent ends --timeout after it has begun, and is deleted
    five minutes later; one that has yet to begin, for want of its image or of room, is left until somebody deletes it.
    Options come before IMAGE; without a command, the image's own is run.

    Exit code: the command's own; 124 where it ran for longer than --timeout, 125 where it could not be run, 128 and a
    signal's number where that ended this program.

    \b
      ringfence run docker.io/library/python:3.11-slim -- python3 -c 'print(6 * 7)'
      ringfence run --policy researcher --memory 256Mi registry.example.com/tool:1 -- tool --check
    """
    connection = context.connection()
    # Options end at IMAGE, so that click takes the -- after it for a word of the command.
    words = command[1:] if command[:1] == ("--",) else command
    body = agent_body(
        Wish(image=image, command=words, **wish),  # type: ignore[arg-type]  # click hands over what the options above declare
        name or f"run-{secrets.token_hex(3)}",
        connection.namespace,
        mark=secrets.token_hex(16),
    )
    try:
        ended = run_agent(connection.api, body, write=_write)
    except ClusterError as error:
        err().print(f"ringfence: {error}")
        ctx.exit(NOT_RUN)
    if ended.sentence:
        err().print(plain(f"ringfence: {ended.sentence}"))
    ctx.exit(ended.code)


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
