"""`ringfence explain`."""

from dataclasses import asdict

import click
from rich.text import Text

from ringfence_cli.explain.account import Account, account
from ringfence_cli.explain.gather import gather
from ringfence_cli.explain.line import Line
from ringfence_cli.names import names_of
from ringfence_cli.options import Context, cluster_options, output_option
from ringfence_cli.output.document import Form, document
from ringfence_cli.output.screen import FAINT, STRONG, out, plain, table


@click.command(short_help="Say what an agent may do and why, and what it was denied lately.")
@click.argument("agent", shell_complete=names_of("agents"))
@output_option
@cluster_options
def explain(context: Context, agent: str, form: Form) -> None:
    """Say what AGENT may do and why, and what it was denied lately.

    Each limit, each way out and each permission comes with the object that it comes from: the one to change.
    Denied are calls that its sidecar refused, limits that were used up, and names that its policy does not let through;
    a policy counts these for all its agents together.

    \b
      ringfence explain researcher
      ringfence explain researcher -o json | jq .network
    """
    connection = context.connection()
    found = account(gather(connection.api, connection.namespace, agent))
    if form is Form.TABLE:
        _print(found)
    else:
        sections = {name.replace(" ", "_"): [asdict(line) for line in lines] for name, lines in found.sections.items()}
        head = {"agent": found.agent, "state": found.state, "reason": found.reason, "message": found.message}
        click.echo(document(form, {**head, **sections, "unseen": list(found.unseen)}), nl=False)


def _print(found: Account) -> None:
    screen = out()
    reason = f" ({found.reason}: {found.message})" if found.reason else ""
    screen.print(Text.assemble((found.agent, STRONG), plain(f": {found.state}{reason}")))
    for title, lines in found.sections.items():
        if not lines and title == "worth knowing":
            continue
        screen.print()
        screen.print(Text(title.capitalize(), style=STRONG))
        if lines:
            rows = [
                (Text(f"  {plain(each.name)}"), each.value, Text(plain(each.source), style=FAINT)) for each in lines
            ]
            screen.print(table((), rows))
        else:
            screen.print("  none")
    for each in found.unseen:
        screen.print(Text(f"\nnot to be seen: {each}", style=FAINT))


def _row(line: Line) -> tuple[Text, str, Text]:
    return Text(f"  {plain(line.name)}"), line.value, Text(plain(line.source), style=FAINT)
