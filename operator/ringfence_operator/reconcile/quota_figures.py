"""A limit's row in a Quota's status: pure arithmetic on what is known of its use."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ringfence_operator.api.quantity import canonical_quantity, parse_quantity
from ringfence_operator.api.quota import Alignment, Limit
from ringfence_operator.api.quota_matrix import Resource, Scope, Window
from ringfence_operator.api.quota_status import AgentUse, LastWarning, LimitStatus, Refusal
from ringfence_operator.reconcile.quota_marks import MOST_TOP_AGENTS, Fresh
from ringfence_operator.reconcile.quota_use import Use

MOST = 2**31 - 1
SECONDS: Mapping[Window, int] = {
    Window.SECOND: 1,
    Window.MINUTE: 60,
    Window.HOUR: 3_600,
    Window.DAY: 86_400,
    Window.MONTH: 30 * 86_400,
}
"""How long a sliding window is."""
_MILLI, _WHOLE, _TENTH = Decimal("0.001"), Decimal(1), Decimal("0.1")
_FRACTIONS = (Resource.CPU, Resource.CREDITS)
_PLAIN = 10_000
_Units = tuple[tuple[Decimal, str], ...]
_BINARY: _Units = tuple((Decimal(1024) ** power, unit) for power, unit in ((4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")))
_DECIMAL: _Units = tuple((Decimal(1000) ** power, unit) for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "k")))


def limit_status(
    limit: Limit,
    use: Use | None,
    before: LimitStatus | None,
    *,
    now: datetime,
    seen_refusals: int = 0,
    fresh: Fresh | None = None,
) -> LimitStatus:
    """Return where `limit` stands; `before` is its row so far, to whose count of refusals new ones are added.

    `seen_refusals` is what `Use.seen_refusals` was when that row was made, `fresh` what is to be told since.
    """
    row = LimitStatus(resource=limit.resource, window=limit.window, scope=limit.scope, max=limit.max)
    if use is not None and use.is_awaited and before is not None and before.max == limit.max:
        return before
    if use is None:
        kept = ("refusals", "last_refusal", "last_warning")
        return row.model_copy(update={name: getattr(before, name) for name in kept} if before else {})
    row = row.model_copy(
        update={"refusals": _refusals(use, before, seen_refusals), "last_refusal": _last_refusal(use, before)}
    )
    if use.is_awaited:
        return row.model_copy(update={"last_warning": before.last_warning if before else None})
    row = row.model_copy(update={"last_warning": _last_warning(use, fresh or Fresh(), before)})
    if not use.is_measured:
        return row
    most, used = parse_quantity(limit.max), Decimal(repr(use.used))
    ratio = used / most
    percent = min(MOST, int((100 * ratio).to_integral_value(ROUND_FLOOR)))
    return row.model_copy(
        update={
            "used": _amount(limit.resource, used),
            "remaining": _amount(limit.resource, max(Decimal(0), most - used), rounding=ROUND_FLOOR),
            "percent": percent,
            "warned": max((each for each in limit.warn_at if each <= 100 * ratio), default=0),
            "resets_at": resets_at(limit, use, now) if use.used > 0 else None,
            "top_agents": _top_agents(limit, use),
        }
    )


def ratio_of(row: LimitStatus, use: Use | None = None) -> float:
    """Return used of max, by what `use` says where it says something: the row is rounded. 0 where nobody knows.

    Of agents that others leave less than the limit does, it is used of that, if that is more.
    """
    if row.used is None:
        return 0.0
    most = float(parse_quantity(row.max))
    if use is None or not use.is_measured or use.is_awaited:
        return float(parse_quantity(row.used)) / most
    own = (use.per_agent.get(agent, 0.0) / float(parse_quantity(less)) for agent, less in use.most.items())
    return max(use.used / most, *own, 0.0)


def tightest_of(rows: tuple[LimitStatus, ...]) -> LimitStatus | None:
    """Return the limit that is nearest its end, of those whose use is known.

    By what rows say alone: an operator that begins finds the same, so it is no write. Percentages are not rounded up.
    """
    return max((row for row in rows if row.used is not None), key=_nearness, default=None)


def _nearness(row: LimitStatus) -> tuple[int, float]:
    return row.percent or 0, ratio_of(row)


def describe(row: LimitStatus) -> str:
    """Return a limit and its use in few words, such as `queries 80/100 per Hour`."""
    window = "" if row.window is Window.NONE else f" per {row.window}"
    units = _BINARY if row.max.endswith("i") else _DECIMAL
    return f"{row.resource} {_short(row.used or '0', units)}/{_short(row.max, units)}{window}"


def row_of_agent(row: LimitStatus, use: Use | None, agent: str) -> LimitStatus:
    """Return the row as it is of one agent, of a limit that each agent has to itself."""
    used = use.per_agent.get(agent) if use else None
    if row.scope is not Scope.PER_AGENT or used is None:
        return row
    most = use.most.get(agent, row.max) if use else row.max
    return row.model_copy(update={"used": _amount(row.resource, Decimal(repr(used))), "max": most})


def _short(quantity: str, units: _Units) -> str:
    """Return a quantity as people read it: large amounts with a unit and at most one digit behind the point."""
    value = parse_quantity(quantity)
    if value < _PLAIN:
        return quantity
    size, unit = next((size, unit) for size, unit in units if value >= size)
    return f"{(value / size).quantize(_TENTH).normalize():f}{unit}"


def _amount(resource: Resource, value: Decimal, *, rounding: str = ROUND_CEILING) -> str:
    """Return the quantity: of what has fractions a thousandth, all else whole; never less used or more left than is."""
    step = _MILLI if resource in _FRACTIONS else _WHOLE
    return canonical_quantity(f"{value.quantize(step, rounding=rounding):f}")


def _refusals(use: Use, before: LimitStatus | None, seen: int) -> int:
    had = before.refusals if before else 0
    return min(MOST, max(use.refusals, had + max(0, use.seen_refusals - seen)))


def _last_refusal(use: Use, before: LimitStatus | None) -> Refusal | None:
    had = before.last_refusal if before else None
    if use.refused_at is None:
        return had
    fresh = Refusal(agent=use.refused_agent, time=use.refused_at)
    return fresh if had is None or fresh.time > had.time else had


def _last_warning(use: Use, fresh: Fresh, before: LimitStatus | None) -> LastWarning | None:
    """Return the newest; of several at one time the highest, and of those the one of the agent that used most."""
    had = before.last_warning if before else None
    last = max(
        fresh.warned, key=lambda each: (each.time, each.percent, use.per_agent.get(each.agent, 0.0)), default=None
    )
    if last is None:
        return had
    found = LastWarning(percent=last.percent, agent=last.agent, time=last.time)
    return found if had is None or found.time > had.time else had


def _top_agents(limit: Limit, use: Use) -> tuple[AgentUse, ...]:
    ranked = sorted((it for it in use.per_agent.items() if it[1] > 0), key=lambda it: (-it[1], it[0]))
    return tuple(
        AgentUse(name=name, used=_amount(limit.resource, Decimal(repr(value))))
        for name, value in ranked[:MOST_TOP_AGENTS]
    )


def resets_at(limit: Limit, use: Use, now: datetime) -> datetime | None:
    """Return when something of what is used is free again, where that is known."""
    if limit.window is Window.NONE:
        return None
    if limit.alignment is Alignment.CALENDAR:
        return calendar_window(limit.window, now)[1]
    return use.resets_at


def calendar_window(window: Window, now: datetime) -> tuple[datetime, datetime]:
    """Return when the calendar's window that `now` is in begins and ends, in UTC."""
    begin = now.replace(microsecond=0)
    match window:
        case Window.MINUTE:
            begin = begin.replace(second=0)
        case Window.HOUR:
            begin = begin.replace(minute=0, second=0)
        case Window.DAY:
            begin = begin.replace(hour=0, minute=0, second=0)
        case Window.MONTH:
            begin = begin.replace(day=1, hour=0, minute=0, second=0)
            next_month = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
            return begin, next_month
        case _:
            pass
    return begin, begin + timedelta(seconds=SECONDS[window])
