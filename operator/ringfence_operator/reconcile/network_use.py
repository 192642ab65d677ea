"""How many bytes agents have moved, by slots of each window, as a gateway's meters tell: bookkeeping without I/O.

Every figure that a meter tells is a total or a whole slot's, so that nothing is counted twice, in whatever order.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ringfence_operator.api.quota import Alignment, Limit
from ringfence_operator.api.quota_matrix import Resource, Window
from ringfence_operator.reconcile.network_count import KEPT, Count, merge
from ringfence_operator.reconcile.quota_figures import calendar_window

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
class NetworkUse:
    """What is known of all agents, by UID.

    `has_pod` says of an agent whether it has one that is counted; `on_refused` hears of an agent that was refused
    something: for which resource, and how often.
    """

    has_pod: Callable[[str], bool] = lambda _: False
    on_refused: Callable[[str, Resource, int], None] = lambda *_: None
    _counts: dict[str, dict[str, Count]] = field(default_factory=dict)
    """Who used something last comes last."""
    _used_at: dict[str, datetime] = field(default_factory=dict)
    _refused_at: dict[tuple[str, Resource], datetime] = field(default_factory=dict)
    _meters: dict[str, str] = field(default_factory=dict)
    """Replica → the meter that is there. All others are gone, and tell nothing themselves any more."""
    turnover: int = 0
    """Is another number when `gone` may say something else than before."""

    def clear(self) -> None:
        """Forget everything; meters tell it again to whoever they come to."""
        for kept in (self._counts, self._used_at, self._refused_at, self._meters):
            kept.clear()
        self.turnover += 1

    def hear(self, message: Mapping[str, Any], *, now: datetime, is_old: bool = False) -> list[str]:
        """Take a meter's report; return the UIDs of the agents that it tells of. Raises KeyError or ValueError.

        `is_old`: a meter that is heard for the first time tells what it had told somebody else before. So does
        whoever repeats what a meter had counted that is gone (`isPast`), and may have been given it too early.
        """
        meter, is_past, touched = str(message["meter"]), bool(message.get("isPast")), []
        self._meet(meter, is_past=is_past)
        for each in message["agents"]:
            agent = str(each["agent"])
            if not self._knows(agent):
                continue
            known = self._counts[agent].get(meter)
            if is_past and known is not None and int(each["total"]) <= known.total:
                continue
            is_told_again = is_past or (is_old and (known is None or known.is_repeated))
            count = self._counts[agent].setdefault(meter, Count())
            count.is_repeated = is_past
            if int(each["total"]) > count.total:
                self._note(agent, now)
            if not is_told_again:
                refused, cut = int(each["refused"]) - count.refused, int(each["cut"]) - count.cut
                self._note_refusals(agent, Resource.NETWORK_CONNECTIONS, refused, now)
                self._note_refusals(agent, Resource.NETWORK_BYTES, cut, now)
            count.take(each)
            touched.append(agent)
        return touched

    def _meet(self, meter: str, *, is_past: bool) -> None:
        replica = meter.partition("/")[0]
        if is_past or self._meters.get(replica) != meter:
            self.turnover += 1
        if not is_past:
            self._meters[replica] = meter

    def measured(self, agent: str, meter: str, total: int, *, since: datetime, now: datetime) -> bool:
        """Take a total that somebody tells who keeps no slots, as used now; return whether it is more than before.

        `since` is when it began. What it says at first may all be older than a window that began later: it is not
        counted there.
        """
        if not self._knows(agent):
            return False
        is_first = meter not in self._counts[agent]
        count = self._counts[agent].setdefault(meter, Count(is_meter=False))
        fresh = total - count.total
        if fresh <= 0:
            return False
        count.total = total
        self._note(agent, now)
        for window, slot in present_slots(now).items():
            if is_first and since < _begin_of(window, now):
                continue
            slots = count.slots.setdefault(window, {})
            merge(slots, {str(slot): slots.get(slot, 0) + fresh}, keep=1 if "/" in window else KEPT)
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
        self.turnover += 1
        self._used_at.pop(agent, None)
        for resource in (Resource.NETWORK_BYTES, Resource.NETWORK_CONNECTIONS):
            self._refused_at.pop((agent, resource), None)

    def forget_before(self, moment: datetime) -> None:
        """Forget agents without a pod, and meters that are gone, of which nothing was counted since."""
        for agent in [each for each in self._counts if not self.has_pod(each) and not self.is_used(each, moment)]:
            self._forget(agent)
        there, oldest = set(self._meters.values()), int(moment.timestamp()) // _SLOT_SECONDS[Window.MONTH]
        for meters in self._counts.values():
            for meter in [it for it, count in meters.items() if count.newest(str(Window.MONTH)) < oldest]:
                if meters[meter].is_meter and meter not in there:
                    del meters[meter]
                    self.turnover += 1

    def is_used(self, agent: str, since: datetime) -> bool:
        """Return True if the agent has used anything since then, as far as is known."""
        at = self._used_at.get(agent)
        return at is not None and at >= since

    def left(self, replica: str) -> list[str]:
        """The gateway's pod is gone, and with it what was open; what was used is remembered. Returns whose it was."""
        touched = []
        self._meters.pop(replica, None)
        self.turnover += 1
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

    def slots(self, agent: str) -> dict[str, dict[int, int]]:
        """Return the agent's bytes by window and slot, through whomever."""
        found: dict[str, dict[int, int]] = {}
        for count in self._counts.get(agent, {}).values():
            for window, slots in count.slots.items():
                of_window = found.setdefault(window, {})
                for slot, bytes_ in slots.items():
                    of_window[slot] = of_window.get(slot, 0) + bytes_
        return found

    def nobody_is_there(self) -> None:
        """All connections to meters are lost; they tell all of it again."""
        self._meters.clear()
        self.turnover += 1

    def totals(self, agent: str) -> dict[str, int]:
        """Return what each meter has counted of the agent since that meter began."""
        return {meter: count.total for meter, count in self._counts.get(agent, {}).items() if count.is_meter}

    def heard(self, agent: str) -> set[str]:
        """Return the replicas whose meters have told of the agent, of those meters that are there."""
        return {replica for replica, meter in self._meters.items() if self.has_told(agent, meter)}

    def gone(self) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
        """Yield each agent, and what meters that are gone had counted of it."""
        there = set(self._meters.values())
        for agent, meters in self._counts.items():
            found = {meter: count for meter, count in meters.items() if count.is_meter and meter not in there}
            yield agent, {meter: count.wire() for meter, count in found.items() if count.total or count.refused}

    def total_of_pod(self, agent: str, pod: str) -> int:
        """Return what meters have counted of one pod of the agent."""
        return sum(count.pods.get(pod, 0) for count in self._counts.get(agent, {}).values())

    def open(self, agent: str, replicas: Container[str]) -> int:
        """Return how many connections the agent has open through these replicas, which are those that are there."""
        counts = self._counts.get(agent, {}).items()
        return sum(count.open for meter, count in counts if count.open and self._may_be_there(meter, replicas))

    def _may_be_there(self, meter: str, replicas: Container[str]) -> bool:
        """Return False for a meter that has ended: with its replica, or with what it held open."""
        replica = meter.partition("/")[0]
        return replica in replicas and self._meters.get(replica, meter) == meter

    def refusals(self, agent: str, resource: Resource) -> tuple[int, datetime | None]:
        """Return how many of the agent's connections were closed for it, and when that was last told."""
        counts = self._counts.get(agent, {}).values()
        is_bytes = resource is Resource.NETWORK_BYTES
        return sum(each.cut if is_bytes else each.refused for each in counts), self._refused_at.get((agent, resource))
