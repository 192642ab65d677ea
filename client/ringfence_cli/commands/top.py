"""`ringfence top`."""

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.live import Live
from rich.text import Text

from ringfence_cli.names import names_of
from ringfence_cli.options import Context, all_namespaces, cluster_options, output_option
from ringfence_cli.output.ages import duration
from ringfence_cli.output.document import Form, document
from ringfence_cli.output.screen import BAD, GOOD, POOR, err, out, table
from ringfence_cli.usage import Use, uses
from ringfence_kube.api import Api
from ringfence_kube.errors import NotFoundError
from ringfence_kube.objects import collection, name_of, time_of

_HEAD = ("QUOTA", "LIMIT", "SCOPE", "USED", "MAX", "%", "", "FREE IN", "REFUSED", "MOST")
_BAR = 10
_MUCH, _NEARLY_ALL = 70, 90
_MOST_AGENTS = 3


@click.command(short_help="Show how much of each limit is used, once or live.")
@click.argument("names", metavar="[QUOTA]...", nargs=-1, shell_complete=names_of("quotas"))
@click.option("-w", "--watch", is_flag=True, help="Go on, and show it anew every few seconds, until Ctrl-C.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0.5),
    default=2.0,
    show_default=True,
    help="From one look to the next.",
)
@all_namespaces
@output_option
@cluster_options
def top(
    context: Context, *, names: tuple[str, ...], watch: bool, interval: float, everywhere: bool, form: Form
) -> None:
    """Show how much of each limit is used, the nearest its end first, and which agents use most.

    Figures are those of the Quotas' statuses, which the operator brings up to date every ten seconds at most. Of a
    PerAgent limit they are those of the agent that has used most.

    \b
      ringfence top             # once
      ringfence top -w          # live
      ringfence top analysis -o json
    """
    if watch and form is not Form.TABLE:
        raise click.UsageError("--watch is for people: leave it out, or --output")
    connection = context.connection()
    namespace = "" if everywhere else connection.namespace
    if watch:
        _watch(lambda: _table(_look(connection.api, namespace, names), everywhere), interval)
        return
    found = _look(connection.api, namespace, names)
    if form is not Form.TABLE:
        rows = [{**asdict(each), "agents": [{"name": n, "used": u} for n, u in each.agents]} for each in found]
        click.echo(document(form, rows), nl=False)
    elif found:
        out().print(_table(found, everywhere))
    else:
        err().print(f"no Quota in namespace {namespace}" if namespace else "no Quota in any namespace")


def _look(api: Api, namespace: str, names: tuple[str, ...]) -> list[Use]:
    quotas = api.items(collection("quotas", namespace))
    missing = set(names) - {name_of(each) for each in quotas}
    if missing:
        raise NotFoundError(404, f"there is no Quota {', '.join(sorted(missing))}")
    found = [use for each in quotas if not names or name_of(each) in names for use in uses(each)]
    return sorted(found, key=lambda each: (-(each.percent or 0), each.namespace, each.quota, each.limit))


def _watch(look: Callable[[], Text], interval: float) -> None:
    """Show what `look` returns until Ctrl-C; where there is no terminal to draw on, one after the other."""
    screen = out()
    try:
        if not screen.is_terminal:
            while True:
                screen.print(look(), end="\n\n")
                time.sleep(interval)
        with Live(look(), console=screen, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(look(), refresh=True)
    except KeyboardInterrupt:
        return


def _table(found: list[Use], everywhere: bool) -> Text:
    now = datetime.now(UTC)
    head = ["NAMESPACE", *_HEAD] if everywhere else _HEAD
    return table(head, [([each.namespace] if everywhere else []) + _row(each, now) for each in found])


def _row(use: Use, now: datetime) -> list[str | Text]:
    free = duration((time_of(use.resets_at) - now).total_seconds()) if use.resets_at else ""
    most = ", ".join(f"{name} {used}" for name, used in use.agents[:_MOST_AGENTS])
    percent = "" if use.percent is None else str(use.percent)
    refused = str(use.refusals) if use.refusals else ""
    return [use.quota, use.limit, use.scope, use.used or "?", use.max, percent, _bar(use.percent), free, refused, most]


def _bar(percent: int | None) -> Text:
    if percent is None:
        return Text("")
    filled = min(_BAR, round(percent * _BAR / 100))
    style = BAD if percent >= _NEARLY_ALL else POOR if percent >= _MUCH else GOOD
    return Text.assemble(("█" * filled, style), ("░" * (_BAR - filled), "dim"))
