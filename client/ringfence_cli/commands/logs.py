"""`ringfence logs`."""

import re
from collections.abc import Iterator

import click
from rich.text import Text

from ringfence_cli.audit import Entry, read_entry
from ringfence_cli.errors import CliError
from ringfence_cli.names import names_of
from ringfence_cli.options import Context, cluster_options
from ringfence_cli.output.screen import BAD, FAINT, GOOD, out, plain
from ringfence_kube.connection import Connection
from ringfence_kube.errors import RefusedError
from ringfence_kube.log import follow_log, read_log
from ringfence_kube.objects import collection, condition, status_of

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_STYLES = {"allowed": GOOD, "refused": BAD}


def _seconds(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    parts = re.findall(r"(\d+)([smhd])", given)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != given:
        raise click.BadParameter("write a duration such as 90s, 15m or 1h30m")
    return str(sum(int(number) * _UNITS[unit] for number, unit in parts))


@click.command(short_help="Print what an agent has written, or with --audit its calls.")
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("--audit", is_flag=True, help="What its sidecar says of each call, instead of what the agent writes.")
@click.option("--refused", is_flag=True, help="With --audit: only calls that were refused.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the agent ends, or Ctrl-C.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Begin with so many last lines.")
@click.option("--since", callback=_seconds, metavar="TIME", help="Begin so long ago, such as 15m.")
@click.option("-p", "--previous", is_flag=True, help="Of the container before this one, which ended.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="With --audit: columns, or each line as it was written.",
)
@cluster_options
def logs(
    context: Context,
    *,
    agent: str,
    audit: bool,
    refused: bool,
    follow: bool,
    previous: bool,
    tail: int | None,
    since: str | None,
    form: str,
) -> None:
    """Print what AGENT has written, or with --audit each call that it made to a Connector.

    An audit line says when, whether it was allowed, what was called, what came of it, which rule decided, how long it
    took, and the statement without its literals. With `-o json` lines are as the sidecar wrote them, chained, fit for
    `python -m ringfence_sidecar.audit verify -`.

    \b
      ringfence logs analyst -f
      ringfence logs analyst --audit --refused --since 1h
    """
    if refused and not audit:
        raise click.UsageError("--refused goes with --audit")
    query = {
        **({"tailLines": str(tail)} if tail is not None and not audit else {}),
        **({"sinceSeconds": since} if since else {}),
        **({"previous": "true"} if previous else {}),
    }
    lines = _lines(context.connection(), agent, "sidecar" if audit else "agent", follow and not previous, query)
    try:
        if audit:
            _print_audit(lines, refused=refused, raw=form == "json", tail=None if follow else tail)
        else:
            for line in lines:
                click.echo(line)
    except KeyboardInterrupt:
        return


def _lines(connection: Connection, agent: str, container: str, follow: bool, query: dict[str, str]) -> Iterator[bytes]:
    api, namespace = connection.api, connection.namespace
    path = f"{collection('agents', namespace)}/{agent}"
    pod = status_of(api.get(path)).get("podName")
    if not pod:
        raise CliError(f"Agent {agent} has no pod: ringfence explain {agent} says why")

    def has_ended() -> bool:
        found = api.find(path) or {}
        return status_of(found).get("podName") != pod or condition(found, "Complete") is not None

    try:
        if follow:
            yield from follow_log(api, namespace, pod, container=container, has_ended=has_ended, **query)
        else:
            yield from read_log(api, namespace, pod, container=container, **query)
    except RefusedError as error:
        if container == "sidecar" and "is not valid for pod" in str(error):
            raise CliError(
                f"Agent {agent} has no sidecar, and so no audit: it names no Connector, and no Quota counts its calls"
            ) from error
        raise


def _print_audit(lines: Iterator[bytes], *, refused: bool, raw: bool, tail: int | None) -> None:
    """Print audit lines; among a container's lines are others, so the last so many are counted here."""
    wanted: Iterator[tuple[bytes, Entry]] = (
        (line, entry) for line in lines if (entry := read_entry(line)) is not None and (entry.is_refused or not refused)
    )
    if tail is not None:
        wanted = iter(list(wanted)[-tail:] if tail else [])
    screen = out()
    for line, entry in wanted:
        if raw:
            click.echo(line)
        else:
            screen.print(_row(entry))


def _row(entry: Entry) -> Text:
    line = Text.assemble(
        (plain(f"{entry.time}  "), FAINT),
        (plain(f"{entry.decision:8}"), _STYLES.get(entry.decision, FAINT)),
        plain(f"  {entry.what:24}  {entry.outcome:10}  {entry.milliseconds:>8}"),
        (plain(f"  {entry.why}") if entry.why else "", BAD if entry.is_refused else FAINT),
        plain(f"  {entry.summary}") if entry.summary else "",
    )
    line.rstrip()
    return line
