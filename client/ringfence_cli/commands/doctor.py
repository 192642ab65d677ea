"""`ringfence doctor`."""

from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from ringfence_cli.doctor.checks import judge, unreachable
from ringfence_cli.doctor.finding import Finding, Level
from ringfence_cli.doctor.gather import gather
from ringfence_cli.options import Context, all_namespaces, cluster_options, output_option
from ringfence_cli.output.document import Form, document
from ringfence_cli.output.progress import Progress
from ringfence_cli.output.screen import BAD, FAINT, GOOD, POOR, out, plain
from ringfence_kube.connection import Connection
from ringfence_kube.errors import UnreachableError

_MARKS = {Level.OK: ("✓", GOOD), Level.UNKNOWN: ("?", FAINT), Level.WARNING: ("!", POOR), Level.BROKEN: ("✗", BAD)}


@click.command()
@click.option(
    "--operator-namespace", "system", metavar="NAME", help="Where the operator is; without it, it is looked for."
)
@click.option("-q", "--quiet", is_flag=True, help="Leave out what is as it should be.")
@all_namespaces
@output_option
@cluster_options
@click.pass_context
def doctor(
    ctx: click.Context, context: Context, /, *, system: str | None, quiet: bool, everywhere: bool, form: Form
) -> None:
    """Say whether everything is in place, and what to do where it is not.

    Looks at the installation (kinds, rights, operator, gateway or Cilium, when certificates and authorities end,
    whether the cluster enforces NetworkPolicies, RuntimeClasses, Redis, …) and at the objects of the namespace. It
    changes nothing. What you may not see is marked with a question mark, and the rest is looked at all the same.

    Exit code: 0 where nothing is broken, 1 where something is.

    \b
      ringfence doctor              # the installation, and this namespace
      ringfence doctor -A           # with the objects of every namespace
      ringfence doctor -q -o json   # for a program: only what is not as it should be
    """
    findings = _examine(context.connection(), system, everywhere)
    shown = [each for each in findings if not quiet or each.level is not Level.OK]
    if form is Form.TABLE:
        _print(out(), shown, findings)
    else:
        click.echo(document(form, [{**asdict(each), "level": each.level.value} for each in shown]), nl=False)
    ctx.exit(1 if any(each.level is Level.BROKEN for each in findings) else 0)


def _examine(connection: Connection, system: str | None, everywhere: bool) -> list[Finding]:
    namespace = "" if everywhere else connection.namespace
    with Progress("looking at the cluster") as progress:
        try:
            facts = gather(
                connection.api, namespace=namespace, system=system, now=datetime.now(UTC), on_step=progress.say
            )
        except UnreachableError as error:
            return unreachable(str(error))
    return judge(facts)


def _print(screen: Console, shown: list[Finding], findings: list[Finding]) -> None:
    for each in shown:
        mark, style = _MARKS[each.level]
        screen.print(Text.assemble((f"{mark} ", style), (f"{each.check}: ", "bold"), plain(each.sentence)))
        if each.fix:
            screen.print(Text.assemble("    ", ("→ ", style), each.fix))
    counts = {level: sum(each.level is level for each in findings) for level in Level}
    broken, warned, unseen = counts[Level.BROKEN], counts[Level.WARNING], counts[Level.UNKNOWN]
    verdict = f"{broken} broken" if broken else "nothing is broken"
    rest = [f"{warned} to know of"] if warned else []
    rest += [f"{unseen} not to be seen"] if unseen else []
    screen.print(Text(", ".join([verdict, *rest]), style=BAD if broken else GOOD))
