"""What the audit says was used, beside what the counters have and what agents were given."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.quota.callers import Diary
from bench.row import Row, for_comparison
from ringfence_sidecar.audit.verification import BrokenChainError, Verification

RESOURCES = ("apiCalls", "rows", "messagesPublished")
Amounts = defaultdict[str, float]
"""By resource; of what is not in it, nothing."""


class _Line(msgspec.Struct, rename="camel"):
    event: str
    request_id: str = ""
    used: dict[str, float] = {}


@dataclass(slots=True)
class Audit:
    """The lines of one agent's sidecars, one process after the other."""

    used: dict[str, dict[str, float]] = field(default_factory=dict)
    """By the id of the request."""
    broken: int = 0
    """Processes whose lines are not all there, up to the last."""
    torn: int = 0
    """Processes that were killed while they wrote a line."""

    @classmethod
    def of(cls, files: Iterable[Path]) -> "Audit":
        """Read what each process wrote."""
        audit, decoder = cls(), msgspec.json.Decoder(_Line)
        for file in files:
            *lines, rest = file.read_bytes().split(b"\n")
            audit.torn += bool(rest)
            try:
                Verification().read(lines)
            except BrokenChainError:
                audit.broken += 1
            for line in map(decoder.decode, lines):
                if line.event == "call":
                    audit.used[line.request_id] = line.used
        return audit

    def sum(self) -> Amounts:
        """Return what was used, by resource."""
        return _sum(self.used.values())


@dataclass(frozen=True, slots=True)
class Agent:
    """All that is known of one agent's use."""

    diary: Diary
    audit: Audit
    counted: Mapping[str, float]
    """By resource: what the counters say that it has used."""
    kills: int
    """How often its sidecar was killed."""

    @property
    def in_flight(self) -> Amounts:
        """What calls could use, at most, that no line tells of: their sidecar was killed while they were under way."""
        return _sum(most for name, most in self.diary.most.items() if name not in self.audit.used)

    @property
    def unlined(self) -> dict[str, float]:
        """What the counters have more of than the audit; negative for what they have less of."""
        sums = self.audit.sum()
        return {each: self.counted.get(each, 0.0) - sums[each] for each in RESOURCES}

    @property
    def contradicted(self) -> int:
        """Answers that are other than their line says, or that have none though nobody was killed."""
        wrong = 0
        for name, given in self.diary.served.items():
            line = self.audit.used.get(name)
            wrong += not self.kills if line is None else {each: line.get(each, 0) for each in given} != given
        return wrong


def rows_of(agents: Iterable[Agent], arrived: float) -> list[Row]:
    """Return how far audit, counters, agents and the broker, where so many messages have `arrived`, agree."""
    agents = list(agents)
    spared = _off(each.unlined for each in agents if not each.kills)
    killed = [each for each in agents if each.kills]
    counted = _sum({name: max(0.0, off) for name, off in each.unlined.items()} for each in killed)
    audited = sum(max(0.0, -off) for each in killed for off in each.unlined.values())
    most = _sum(each.in_flight for each in killed)
    # Of each by itself: what one has too much of makes up for nothing that another lacks.
    unexplained = sum(off > each.in_flight[name] or off < 0 for each in killed for name, off in each.unlined.items())
    lost = sum(len(each.diary.lost) for each in agents)
    kills = sum(each.kills for each in agents)
    late = sum(name not in each.audit.used for each in killed for name in each.diary.served)
    refused = sum((each.diary.refused for each in agents), Counter[str]())
    served = sum(len(each.diary.served) for each in agents)
    wrong = sum(each.contradicted for each in agents)
    broken = sum(each.audit.broken for each in agents)
    unheard = arrived - sum(each.audit.sum()["messagesPublished"] for each in agents)
    said = ", ".join(f"{name} {off:g} of at most {most[name]:g}" for name, off in counted.items() if off) or "nothing"
    reasons = ", ".join(f"{count:,} {code}" for code, count in refused.most_common(4))
    return [
        Row(f"  audit and counters of {len(agents) - len(killed)} others differ by", "0", spared, "", spared == 0),
        Row(
            f"  of {len(killed)} killed: differences beyond calls in flight then",
            "0",
            unexplained,
            "",
            unexplained == 0,
            f"counted, and killed before the line was written: {said}; {late} of those calls had been answered",
        ),
        Row("  in the audit and not in the counters", "0", audited, "", audited == 0),
        Row("  answers that are other than their line says", "0", wrong, "", wrong == 0),
        Row(
            "  messages at the broker and in no line",
            f"0 to {most['messagesPublished']:g}",
            unheard,
            "",
            0 <= unheard <= most["messagesPublished"],
            "of calls in flight as their sidecar was killed",
        ),
        Row("  processes whose chain of lines has a gap", "0", broken, "", broken == 0),
        for_comparison("  calls served", served, "", f"refused: {reasons}"),
        for_comparison("  calls in flight as their sidecar was killed", lost, "", f"{kills} killed"),
    ]


def _off(differences: Iterable[Mapping[str, float]]) -> float:
    return sum(abs(off) for each in differences for off in each.values())


def _sum(amounts: Iterable[Mapping[str, float]]) -> Amounts:
    total: Amounts = defaultdict(float)
    for each in amounts:
        for name, amount in each.items():
            total[name] += amount
    return total
