"""What of a quota's limits has come to a `warnAt`, or refused somebody, that no status has told: by agent, without I/O.

What was told is what the status says, and what this process remembers besides, for as long as the status is the one
that it remembers it of. An operator that begins goes by the status alone, so it tells nothing twice; an agent beyond
the `topAgents` of a full list counts there as one that has used as much as the last of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Scope
from ringfence_operator.api.quota_status import LimitStatus, QuotaStatus
from ringfence_operator.reconcile.quota_use import Use, Warned

MOST_TOP_AGENTS = 5
"""So many agents a row of the status names, those that have used most."""
_EVERYBODY = ""
"""Whose use counts, where all agents of a quota have a limit together."""
_REFUSAL = 0
"""Stands where a warning has its percentage."""
_Mark = tuple[str, int]
"""An agent, and a percentage or `_REFUSAL`."""
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Fresh:
    """What is to be told of a limit."""

    warned: tuple[Warned, ...] = ()
    """The oldest first; of one agent, the lowest percentage first."""
    refused: tuple[tuple[str, datetime], ...] = ()
    """Names of agents, each with when it was refused last; the oldest first."""

    @property
    def is_nothing(self) -> bool:
        """True if there is nothing to tell."""
        return not self.warned and not self.refused


@dataclass(slots=True)
class _Told:
    """Of one limit."""

    levels: dict[str, int] = field(default_factory=dict)
    """The highest `warnAt` that each agent was at or above when that was told, or has gone down to since."""
    marks: dict[_Mark, datetime] = field(default_factory=dict)
    """When what was told happened, of warnings and refusals that a source dates."""
    pending: dict[_Mark, Warned] = field(default_factory=dict)
    """What was seen to be so since, however short a time it was."""


@dataclass(slots=True)
class _Quota:
    uid: str
    status: QuotaStatus
    limits: dict[str, _Told] = field(default_factory=dict)


@dataclass(slots=True)
class Marks:
    """Those of all quotas."""

    _of: dict[Key, _Quota] = field(default_factory=dict)

    def fresh(self, quota: Quota, uses: Mapping[str, Use], *, now: datetime) -> dict[str, Fresh]:
        """Return `Limit.id` → what is to be told; the same again, and what comes besides, until `settle`."""
        known = self._of.get(quota.key)
        if known is None or known.uid != quota.metadata.uid or known.status != quota.status:
            # Another replica may have told more meanwhile.
            known = self._of[quota.key] = _Quota(quota.metadata.uid, quota.status)
        rows = {f"{row.resource}/{row.window}/{row.scope}": row for row in quota.status.limits}
        found = {}
        for limit in quota.spec.limits:
            use = uses.get(limit.id)
            if use is None or use.is_awaited:
                continue
            if limit.id not in known.limits:
                known.limits[limit.id] = _as_said(limit, use, rows.get(limit.id))
            found[limit.id] = _fresh(limit, use, known.limits[limit.id], now)
        return found

    def settle(self, quota: Quota, uses: Mapping[str, Use]) -> None:
        """All of it was told, and `quota` has the status that says so."""
        known = self._of.get(quota.key)
        if known is None or known.uid != quota.metadata.uid:
            return
        known.status = quota.status
        limits = {limit.id: limit for limit in quota.spec.limits}
        known.limits = {key: told for key, told in known.limits.items() if key in limits}
        for key, told in known.limits.items():
            use = uses.get(key)
            if use is None or use.is_awaited:
                continue
            told.pending.clear()
            told.marks = dict(_dated(use))
            if use.is_measured:
                told.levels = {who: level for who, level in _levels(limits[key], use).items() if level}

    def forget(self, quota: Key) -> None:
        """The quota is gone."""
        self._of.pop(quota, None)


def fresh_since(limit: Limit, use: Use, row: LimitStatus | None, *, now: datetime) -> Fresh:
    """Return what is to be told of a limit by one who knows its row of the status, and nothing else."""
    return _fresh(limit, use, _as_said(limit, use, row), now)


def _as_said(limit: Limit, use: Use, row: LimitStatus | None) -> _Told:
    """Return what was told by what a row says. What falls into the second of the last that was told counts as told."""
    if row is None:
        return _Told()
    warned, refused = row.last_warning, row.last_refusal
    marks = {
        mark: time
        for mark, time in _dated(use)
        if (last := refused if mark[1] == _REFUSAL else warned) is not None and time <= last.time
    }
    if row.used is None:
        return _Told({warned.agent if _is_each(limit, use) else _EVERYBODY: warned.percent} if warned else {}, marks)
    if not _is_each(limit, use):
        return _Told(
            {_EVERYBODY: _level(limit, float(parse_quantity(row.used)), float(parse_quantity(row.max)))}, marks
        )
    had = {each.name: float(parse_quantity(each.used)) for each in row.top_agents}
    least = min(had.values()) if len(had) == MOST_TOP_AGENTS else 0.0
    most = float(parse_quantity(row.max))
    levels = {who: _level(limit, had.get(who, least), _most_of(who, use, most)) for who in use.per_agent}
    return _Told(levels, marks)


def _fresh(limit: Limit, use: Use, told: _Told, now: datetime) -> Fresh:
    levels = _levels(limit, use) if use.is_measured else {}
    for who in told.levels.keys() & levels.keys():
        told.levels[who] = min(told.levels[who], levels[who])
    if not use.warned:
        for who, level in levels.items():
            for percent in limit.warn_at:
                if told.levels.get(who, 0) < percent <= level:
                    agent = who or max(use.per_agent, key=lambda name: (use.per_agent[name], name), default="")
                    told.pending.setdefault((who, percent), Warned(percent, agent, now))
    found = told.pending | _told_by_calls(limit, use, told)
    refused = ((agent, time) for (agent, kind), time in _dated(use) if kind == _REFUSAL)
    return Fresh(
        tuple(sorted(found.values(), key=lambda each: (each.time, each.agent, each.percent))),
        tuple(sorted((it for it in refused if _is_new((it[0], _REFUSAL), it[1], told)), key=lambda it: (it[1], it[0]))),
    )


def _told_by_calls(limit: Limit, use: Use, told: _Told) -> dict[_Mark, Warned]:
    """Return what calls were told since; where a source says only the highest percentage, those below it, too."""
    is_each, found = limit.scope is Scope.PER_AGENT, dict[_Mark, Warned]()
    said = {(each.agent if is_each else _EVERYBODY, each.percent) for each in use.warned}
    for each in use.warned:
        if not _is_new((each.agent, each.percent), each.time, told):
            continue
        who = each.agent if is_each else _EVERYBODY
        found[who, each.percent] = each
        for percent in limit.warn_at:
            if told.levels.get(who, 0) < percent < each.percent and (who, percent) not in said:
                found[who, percent] = Warned(percent, each.agent, each.time)
    return found


def _is_new(mark: _Mark, time: datetime, told: _Told) -> bool:
    before = told.marks.get(mark)
    return before is None or time.replace(microsecond=0) > before


def _dated(use: Use) -> Iterable[tuple[_Mark, datetime]]:
    """Yield what the source dates, in whole seconds, as a status does."""
    for each in use.warned:
        yield (each.agent, each.percent), each.time.replace(microsecond=0)
    for agent, time in use.refusals_by_agent.items():
        yield (agent, _REFUSAL), time.replace(microsecond=0)


def _is_each(limit: Limit, use: Use) -> bool:
    return limit.scope is Scope.PER_AGENT and bool(use.per_agent)


def _levels(limit: Limit, use: Use) -> dict[str, int]:
    most = float(parse_quantity(limit.max))
    if not _is_each(limit, use):
        return {_EVERYBODY: _level(limit, use.used, most)}
    return {who: _level(limit, used, _most_of(who, use, most)) for who, used in use.per_agent.items()}


def _most_of(agent: str, use: Use, most: float) -> float:
    return float(parse_quantity(use.most[agent])) if agent in use.most else most


def _level(limit: Limit, used: float, most: float) -> int:
    """Return the highest `warnAt` that use is at or above; 0 for none."""
    # What is so many per cent of a limit is a little less, once that has been reckoned.
    return max((percent for percent in limit.warn_at if percent * most <= 100 * used * (1 + 1e-12)), default=0)
