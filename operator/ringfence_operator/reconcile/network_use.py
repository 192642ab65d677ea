"""How many bytes agents have moved, by slots of each window, as a gateway's meters tell: bookkeeping without I/O.

Every figure that a meter tells is a total or a whole slot's, so that nothing is counted twice, in whatever order.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ringfence_operator.api.quota import Alignment, Limit
from ringfence_operator.api.quota_matrix import Resource, Scope, Window
from ringfence_operator.reconcile.network_quota import Held
from ringfence_operator.reconcile.quota_figures import calendar_window

KEPT = 21
"""Slots of a sliding window, so that no span as long as the window holds more than they do."""
MOST_AGENTS = 50_000
"""Agents that are remembered; of those without a pod, the one is forgotten first that has used nothing for longest."""
_SLOT_SECONDS = {Window.MINUTE: 3, Window.HOUR: 180, Window.DAY: 4_320, Window.MONTH: 129_600}
LONGEST = KEPT * timedelta(seconds=_SLOT_SECONDS[Window.MONTH])
"""What was used longer ago counts in no window."""
_CALENDAR_SECONDS = {Window.MINUTE: 60, Window.HOUR: 3_600, Window.DAY: 86_400}


def window_of(limit: Limit) -> str:
    """Return what meters call the limit's window."""
    return f"{limit.window}/{Alignment.CALENDAR}" if limit.alignment is Alignment.CALENDAR else str(limit.window)


def first_slot(limit: Limit, now: datetime) -> int:
    """Return the first of the slots that count now."""
    present = present_slots(now)[window_of(limit)]
    return present if limit.alignment is Alignment.CALENDAR else present - KEPT + 1


def present_slots(now: datetime) -> dict[str, int]:
    """Return the slot of each window that now lies in, by what meters call the window."""
    seconds = int(now.timestamp())
    found = {str(window): seconds // length for window, length in _SLOT_SECONDS.items()}
    of_calendar = {window: seconds // length for window, length in _CALENDAR_SECONDS.items()}
    of_calendar[Window.MONTH] = now.year * 12 + now.month - 1
    return found | {f"{window}/{Alignment.CALENDAR}": slot for window, slot in of_calendar.items()}


def free_at(limit: Limit, oldest: int) -> datetime:
    """Return when what is in the slot `oldest` counts no more."""
    if limit.alignment is not Alignment.CALENDAR:
        return datetime.fromtimestamp((oldest + KEPT) * _SLOT_SECONDS[limit.window], UTC)
    if limit.window is Window.MONTH:
        return datetime(oldest // 12, oldest % 12 + 1, 1, tzinfo=UTC) + _until_next_month(oldest)
    return datetime.fromtimestamp((oldest + 1) * _CALENDAR_SECONDS[limit.window], UTC)


def span_of(limit: Limit) -> timedelta:
    """Return for how long at most what was used counts against the limit."""
    return KEPT * timedelta(seconds=_SLOT_SECONDS[limit.window])


def _begin_of(window: str, now: datetime) -> datetime:
    """Return since when use counts now, of a window as meters call it."""
    name, _, calendar = window.partition("/")
    if calendar:
        return calendar_window(Window(name), now)[0]
    return now - (KEPT - 1) * timedelta(seconds=_SLOT_SECONDS[Window(name)])


def _until_next_month(month: int) -> timedelta:
    begin = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return datetime((month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC) - begin


@dataclass(slots=True)
class _Count:
    """What one meter has counted of one agent."""

    is_meter: bool = True
    """False for what kubelets tell, which no meter knows of."""
    total: int = 0
    open: int = 0
    refused: int = 0
    cut: int = 0
    slots: dict[str, dict[int, int]] = field(default_factory=dict)
    pods: dict[str, int] = field(default_factory=dict)
    """Of the total, by the UID of the pod that is there."""


@dataclass(slots=True)
class NetworkUse:
    """What is known of all agents, by UID.

    `has_pod` says of an agent whether it has one that is counted; `on_refused` hears of an agent that was refused
    something: for which resource, and how often.
    """

    has_pod: Callable[[str], bool] = lambda _: False
    on_refused: Callable[[str, Resource, int], None] = lambda *_: None
    _counts: dict[str, dict[str, _Count]] = field(default_factory=dict)
    """Who used something last comes last."""
    _used_at: dict[str, datetime] = field(default_factory=dict)
    _refused_at: dict[tuple[str, Resource], datetime] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything; meters tell it again to whoever they come to."""
        for kept in (self._counts, self._used_at, self._refused_at):
            kept.clear()

    def hear(self, message: Mapping[str, Any], *, now: datetime, is_old: bool = False) -> list[str]:
        """Take a meter's report; return the UIDs of the agents that it tells of. Raises KeyError or ValueError.

        `is_old`: a meter that is heard for the first time tells what it had told somebody else before.
        """
        meter, touched = str(message["meter"]), []
        for each in message["agents"]:
            agent = str(each["agent"])
            if not self._knows(agent):
                continue
            is_told_again = is_old and meter not in self._counts[agent]
            count = self._counts[agent].setdefault(meter, _Count())
            if int(each["total"]) > count.total:
                self._note(agent, now)
            refused, cut = int(each["refused"]), int(each["cut"])
            if not is_told_again:
                self._note_refusals(agent, Resource.NETWORK_CONNECTIONS, refused - count.refused, now)
                self._note_refusals(agent, Resource.NETWORK_BYTES, cut - count.cut, now)
            count.total, count.open, count.refused, count.cut = int(each["total"]), int(each["open"]), refused, cut
            count.pods = dict(each.get("pods", {}))
            for window, slots in each["slots"].items():
                _merge(count.slots.setdefault(window, {}), slots, keep=1 if "/" in window else KEPT)
            touched.append(agent)
        return touched

    def measured(self, agent: str, meter: str, total: int, *, since: datetime, now: datetime) -> bool:
        """Take a total that somebody tells who keeps no slots, as used now; return whether it is more than before.

        `since` is when it began. What it says at first may all be older than a window that began later: it is not
        counted there.
        """
        if not self._knows(agent):
            return False
        is_first = meter not in self._counts[agent]
        count = self._counts[agent].setdefault(meter, _Count(is_meter=False))
        fresh = total - count.total
        if fresh <= 0:
            return False
        count.total = total
        self._note(agent, now)
        for window, slot in present_slots(now).items():
            if is_first and since < _begin_of(window, now):
                continue
            slots = count.slots.setdefault(window, {})
            _merge(slots, {str(slot): slots.get(slot, 0) + fresh}, keep=1 if "/" in window else KEPT)
        return True

    def _knows(self, agent: str) -> bool:
        """Return whether the agent can be counted: known, or there is room for it."""
        if agent not in self._counts:
            if len(self._counts) >= MOST_AGENTS:
                gone = next((each for each in self._counts if not self.has_pod(each)), None)
                if gone is None:
                    return False
                self._forget(gone)
            self._counts[agent] = {}
        return True

    def _note(self, agent: str, now: datetime) -> None:
        self._used_at[agent] = now
        self._counts[agent] = self._counts.pop(agent)

    def _note_refusals(self, agent: str, resource: Resource, count: int, now: datetime) -> None:
        if count > 0:
            self._refused_at[agent, resource] = now
            self.on_refused(agent, resource, count)

    def _forget(self, agent: str) -> None:
        del self._counts[agent]
        self._used_at.pop(agent, None)
        for resource in (Resource.NETWORK_BYTES, Resource.NETWORK_CONNECTIONS):
            self._refused_at.pop((agent, resource), None)

    def forget_before(self, moment: datetime) -> None:
        """Forget agents without a pod that have used nothing since."""
        for agent in [each for each in self._counts if not self.has_pod(each) and not self.is_used(each, moment)]:
            self._forget(agent)

    def is_used(self, agent: str, since: datetime) -> bool:
        """Return True if the agent has used anything since then, as far as is known."""
        at = self._used_at.get(agent)
        return at is not None and at >= since

    def left(self, replica: str) -> list[str]:
        """The gateway's pod is gone, and with it what was open; what was used is remembered. Returns whose it was."""
        touched = []
        for agent, meters in self._counts.items():
            for meter, count in meters.items():
                if meter.partition("/")[0] == replica and count.open:
                    count.open = 0
                    touched.append(agent)
        return touched

    def has(self, agent: str) -> bool:
        """Return True if anything was counted of the agent."""
        return agent in self._counts

    def has_told(self, agent: str, meter: str) -> bool:
        """Return True if the meter has told of the agent."""
        return meter in self._counts.get(agent, {})

    def used(self, agents: Iterable[str], limit: Limit, *, now: datetime) -> int:
        """Return the bytes of these agents that count against the limit now."""
        window, first = window_of(limit), first_slot(limit, now)
        return sum(
            bytes_
            for agent in agents
            for count in self._counts.get(agent, {}).values()
            for slot, bytes_ in count.slots.get(window, {}).items()
            if slot >= first
        )

    def frees_at(self, agents: Iterable[str], limit: Limit, *, now: datetime) -> datetime | None:
        """Return when something of what counts now counts no more, None if nothing does."""
        window, first = window_of(limit), first_slot(limit, now)
        found = [
            slot
            for agent in agents
            for count in self._counts.get(agent, {}).values()
            for slot, bytes_ in count.slots.get(window, {}).items()
            if slot >= first and bytes_
        ]
        return free_at(limit, min(found)) if found else None

    def totals(self, agent: str) -> dict[str, int]:
        """Return what each meter has counted of the agent since that meter began."""
        return {meter: count.total for meter, count in self._counts.get(agent, {}).items() if count.is_meter}

    def total_of_pod(self, agent: str, pod: str) -> int:
        """Return what meters have counted of one pod of the agent."""
        return sum(count.pods.get(pod, 0) for count in self._counts.get(agent, {}).values())

    def open(self, agent: str) -> int:
        """Return how many connections the agent has open."""
        return sum(count.open for count in self._counts.get(agent, {}).values())

    def refusals(self, agent: str, resource: Resource) -> tuple[int, datetime | None]:
        """Return how many of the agent's connections were closed for it, and when that was last told."""
        counts = self._counts.get(agent, {}).values()
        is_bytes = resource is Resource.NETWORK_BYTES
        return sum(each.cut if is_bytes else each.refused for each in counts), self._refused_at.get((agent, resource))


class CountedUse:
    """A `network_quota.Usage`: of a shared limit, all that its agents used counts; each sum is made once."""

    def __init__(self, use: NetworkUse, members: Mapping[str, set[str]]) -> None:
        self._use = use
        self._members = members
        self._sums: dict[tuple[str, str], int] = {}

    def used(self, held: Held, agent: str, *, now: datetime) -> int:
        """Return the bytes that count against the limit for the agent with this UID."""
        if held.limit.scope is not Scope.SHARED:
            return self._use.used((agent,), held.limit, now=now)
        if held.bucket not in self._sums:
            self._sums[held.bucket] = self._use.used(self._members.get(held.uid, ()), held.limit, now=now)
        return self._sums[held.bucket]

    def frees_at(self, held: Held, agent: str, *, now: datetime) -> datetime | None:
        """Return when something of it counts no more."""
        who = self._members.get(held.uid, ()) if held.limit.scope is Scope.SHARED else (agent,)
        return self._use.frees_at(who, held.limit, now=now)


def _merge(slots: dict[int, int], fresh: Mapping[str, int], *, keep: int) -> None:
    slots.update({int(slot): int(count) for slot, count in fresh.items()})
    newest = max(slots, default=0)
    for old in [slot for slot in slots if slot <= newest - keep]:
        del slots[old]
