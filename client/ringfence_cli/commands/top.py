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
from ringfence_cli.standing import Standing
from ringfence_cli.usage import Use, uses
from ringfence_kube.api import Api
from ringfence_kube.errors import NotFoundError
from ringfence_kube.objects import KINDS, Raw, collection, name_of, time_of

_POOL_HEAD = ("POOL", "WARM", "SIZE", "%", "", "STARTING", "FAILED", "CLAIMED", "HITS")
_FEW, _HARDLY_ANY = 50, 25
_HEAD = ("QUOTA", "LIMIT", "SCOPE", "USED", "MAX", "%", "", "FREE IN", "REFUSED", "MOST")
_BAR = 10
_MUCH, _NEARLY_ALL = 70, 90
_MOST_AGENTS = 3


def _completed(
    ctx: click.Context, parameter: click.Parameter, begun: str
) -> list[click.shell_completion.CompletionItem]:
    return names_of("agentpools" if ctx.params.get("pools") else "quotas")(ctx, parameter, begun)


@click.command(short_help="Show how much of each limit is used, or how warm pools are, once or live.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_completed)
@click.option("--pools", is_flag=True, help="Show AgentPools instead of Quotas: how many of each one's pods are warm.")
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
    context: Context, *, names: tuple[str, ...], pools: bool, watch: bool, interval: float, everywhere: bool, form: Form
) -> None:
    """Show how much of each limit is used, the nearest its end first, and which agents use most.

    Figures are those of the Quotas' statuses, which the operator brings up to date every ten seconds at most. Of a
    PerAgent limit they are those of the agent that has used most. With --pools, the pools with the fewest warm pods
    come first: their statuses are brought up to date every second at most.

    \b
      ringfence top             # once
      ringfence top -w          # live
      ringfence top analysis -o json
      ringfence top --pools -w  # how pools empty and fill up
    """
    if watch and form is not Form.TABLE:
        raise click.UsageError("--watch is for people: leave it out, or --output")
    connection = context.connection()
    namespace = "" if everywhere else connection.namespace

    def look() -> Text | None:
        if pools:
            return _pool_table(_look_at_pools(connection.api, namespace, names), everywhere)
        return _table(_look(connection.api, namespace, names), everywhere)

    if watch:
        _watch(look, interval)
    elif form is Form.TABLE:
        _print(look(), f"no {'AgentPool' if pools else 'Quota'} in", namespace)
    elif pools:
        standings = _look_at_pools(connection.api, namespace, names)
        click.echo(document(form, [asdict(each) for each in standings]), nl=False)
    else:
        found = _look(connection.api, namespace, names)
        rows = [{**asdict(each), "agents": [{"name": n, "used": u} for n, u in each.agents]} for each in found]
        click.echo(document(form, rows), nl=False)


def _print(found: Text | None, nothing: str, namespace: str) -> None:
    if found is None:
        err().print(f"{nothing} namespace {namespace}" if namespace else f"{nothing} any namespace")
    else:
        out().print(found)


def _chosen(api: Api, kind: str, namespace: str, names: tuple[str, ...]) -> list[Raw]:
    resource = next(plural for plural, each in KINDS.items() if each == kind)
    found = api.items(collection(resource, namespace))
    missing = set(names) - {name_of(each) for each in found}
    if missing:
        raise NotFoundError(404, f"there is no {kind} {', '.join(sorted(missing))}")
    return [each for each in found if not names or name_of(each) in names]


def _look_at_pools(api: Api, namespace: str, names: tuple[str, ...]) -> list[Standing]:
    found = map(Standing.of, _chosen(api, "AgentPool", namespace, names))
    # Those of size 0 are as full as they are to be.
    return sorted(found, key=lambda each: (100 if each.percent is None else each.percent, each.namespace, each.pool))


def _look(api: Api, namespace: str, names: tuple[str, ...]) -> list[Use]:
    found = [use for each in _chosen(api, "Quota", namespace, names) for use in uses(each)]
    return sorted(found, key=lambda each: (-(each.percent or 0), each.namespace, each.quota, each.limit))


def _watch(look: Callable[[], Text | None], interval: float) -> None:
    """Show what `look` returns until Ctrl-C; where there is no terminal to draw on, one after the other."""
    screen = out()
    try:
        if not screen.is_terminal:
            while True:
                screen.print(look() or "", end="\n\n")
                time.sleep(interval)
        with Live(look() or "", console=screen, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(look() or "", refresh=True)
    except KeyboardInterrupt:
        return


def _pool_table(found: list[Standing], everywhere: bool) -> Text | None:
    if not found:
        return None
    head = ["NAMESPACE", *_POOL_HEAD] if everywhere else _POOL_HEAD
    return table(head, [([each.namespace] if everywhere else []) + _pool_row(each) for each in found])


def _pool_row(each: Standing) -> list[str | Text]:
    percent = "" if each.percent is None else str(each.percent)
    numbers = [str(number) if number else "" for number in (each.starting, each.failed, each.claimed)]
    bar = _bar(each.percent, _warmth)
    return [each.pool, str(each.warm), str(each.size), percent, bar, *numbers, each.share_of_hits]


def _table(found: list[Use], everywhere: bool) -> Text | None:
    if not found:
        return None
    now = datetime.now(UTC)
    head = ["NAMESPACE", *_HEAD] if everywhere else _HEAD
    return table(head, [([each.namespace] if everywhere else []) + _row(each, now) for each in found])


def _row(use: Use, now: datetime) -> list[str | Text]:
    free = duration((time_of(use.resets_at) - now).total_seconds()) if use.resets_at else ""
    most = ", ".join(f"{name} {used}" for name, used in use.agents[:_MOST_AGENTS])
    percent = "" if use.percent is None else str(use.percent)
    refused = str(use.refusals) if use.refusals else ""
    return [use.quota, use.limit, use.scope, use.used or "?", use.max, percent, _bar(use.percent), free, refused, most]


def _use(percent: int) -> str:
    return BAD if percent >= _NEARLY_ALL else POOR if percent >= _MUCH else GOOD


def _warmth(percent: int) -> str:
    return BAD if percent < _HARDLY_ANY else POOR if percent < _FEW else GOOD


def _bar(percent: int | None, style_of: Callable[[int], str] = _use) -> Text:
    if percent is None:
        return Text("")
    filled = min(_BAR, round(percent * _BAR / 100))
    return Text.assemble(("█" * filled, style_of(percent)), ("░" * (_BAR - filled), "dim"))
