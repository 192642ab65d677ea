"""What one agent that floods the gateway costs another, which is under a policy of its own."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.egress.bed import ADDRESS, NAME, REFUSED, Bed, allowing
from bench.egress.samples import Attempt
from bench.egress.traffic import Seat
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison

RATE = 150.0
"""New connections and look-ups a second of the agent that is measured: SNI, CONNECT and a look-up in turn."""
SECONDS, QUICK_SECONDS = 4.0, 2.0
ROUNDS, QUICK_ROUNDS = 5, 1
LEAD = 1.0
"""Seconds that a flood has begun before what is measured, and ends after it."""
FLOODER_CPU = "500m"
SLOWER = 2.0
WAYS = {"sni": "by SNI", "connect": "by CONNECT", "lookup": "of look-ups"}


@dataclass(frozen=True, slots=True)
class Flood:
    """A flood, and whether it goes to the gateway or, as the control, to the server itself."""

    title: str
    flags: dict[str, object]
    is_control: bool = False


SILENT: dict[str, object] = {"way": "silent", "workers": 32}
BY_SNI: dict[str, object] = {"way": "sni", "workers": 32}
SLOW: dict[str, object] = {"way": "slow", "workers": 32, "held": 4_000}
FLOODS = (
    Flood("connections that say nothing", SILENT),
    Flood("connections that say nothing, to the server itself", SILENT, is_control=True),
    Flood("TLS to an allowed name", BY_SNI),
    Flood("TLS to the server itself", BY_SNI, is_control=True),
    Flood("TLS to a refused name", {**BY_SNI, "name": REFUSED}),
    Flood("look-ups of an allowed name", {"way": "lookups", "workers": 2}),
    Flood("headers without end", SLOW),
    Flood("headers without end, to the server itself", SLOW, is_control=True),
)


@dataclass(frozen=True, slots=True)
class Round:
    """What the other agent saw without the flood and right after that with it, and what the flood came to."""

    quiet: list[Attempt]
    flooded: list[Attempt]
    came: dict[str, Any]

    def ratio(self, way: str) -> float:
        """Return by how much the flood lengthens the p99."""
        quiet, flooded = (quantile(_times(found, way), 0.99) for found in (self.quiet, self.flooded))
        return flooded / quiet

    def as_json(self) -> dict[str, Any]:
        """Return it for the file of samples."""
        of = {"quiet": self.quiet, "flooded": self.flooded}
        return {name: {way: _times(found, way) for way in WAYS} for name, found in of.items()} | {"came": self.came}


def measure_flood(bed: Bed) -> list[Row]:
    """Each flood by turns with none, so that what else the machine does falls on both."""
    namespace = bed.namespace()
    flooder = bed.seat(namespace, "flooder", allowing(NAME, cidrs=[{"cidr": f"{ADDRESS}/32"}]), cpu=FLOODER_CPU)
    other = bed.seat(namespace, "other", allowing(NAME))
    rounds: dict[str, list[Round]] = {each.title: [] for each in FLOODS}
    before, began = bed.busy(), time.monotonic()
    for number in range(bed.count(ROUNDS, QUICK_ROUNDS)):
        with bed.progress.step(f"floods, round {number + 1}", announce=True):
            for each in FLOODS:
                rounds[each.title].append(_round(bed, each, flooder, other))
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("flood", {title: [each.as_json() for each in found] for title, found in rounds.items()})
    bed.clear()
    return [row for each in FLOODS for row in _rows(each, rounds[each.title], note)]


def _round(bed: Bed, flood: Flood, flooder: Seat, other: Seat) -> Round:
    seconds = QUICK_SECONDS if bed.is_quick else SECONDS
    quiet = other.start("load", seconds=seconds, rate=RATE, lookups=True).result()
    flags = {**flood.flags, "gateway": ADDRESS} if flood.is_control else flood.flags
    before = _envoys(bed)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(flooder.run, "flood", seconds=seconds + 2 * LEAD, **flags)
        time.sleep(LEAD)
        flooded = other.start("load", seconds=seconds, rate=RATE, lookups=True).result()
        came = running.result()
    came["envoy"] = _envoys(bed) - before
    bed.rest()
    return Round(quiet, flooded, came)


def _envoys(bed: Bed) -> float:
    """Return the CPU seconds that both replicas' Envoys have used so far."""
    return sum(each.envoy_use().cpu for each in bed.gateways())


def _rows(flood: Flood, rounds: Sequence[Round], note: str) -> list[Row]:
    rows = []
    for way, title in WAYS.items():
        ratio = round(quantile((each.ratio(way) for each in rounds), 0.5), 2)
        what = f"another's p99 {title} over its own without the flood: {flood.title}"
        told = f"{_of_all(rounds, way)}; {note}"
        is_asked = not flood.is_control
        rows.append(at_most(what, ratio, SLOWER, "x", told) if is_asked else for_comparison(what, ratio, "x", told))
        note = "as above"
    flooded = [attempt for each in rounds for attempt in each.flooded]
    failed = sum(not each.succeeded for each in flooded)
    rows.append(
        at_most("  another's connections and look-ups that failed meanwhile", failed, 0, f"of {len(flooded):,}")
    )
    stood, refused, cpu, envoy = (_per_second(rounds, key) for key in ("opened", "failed", "cpu", "envoy"))
    told = f"and {refused:.0f} that did not; it took {cpu:.2f} CPUs, and both Envoys {envoy:.2f}"
    rows.append(for_comparison("  the flood: connections that stood, or look-ups asked", round(stood), "per s", told))
    return rows


def _of_all(rounds: Sequence[Round], way: str) -> str:
    quiet = [time for each in rounds for time in _times(each.quiet, way)]
    flooded = [time for each in rounds for time in _times(each.flooded, way)]
    ratios = ", ".join(f"{each.ratio(way):.2f}" for each in rounds)
    return (
        f"the middle of the rounds' {ratios}; of all {len(flooded):,} p50 / p99 {_shares(quiet)} ms, "
        f"with the flood {_shares(flooded)} ms"
    )


def _per_second(rounds: Sequence[Round], key: str) -> float:
    return float(sum(each.came[key] for each in rounds) / sum(each.came["seconds"] for each in rounds))


def _times(attempts: Sequence[Attempt], way: str) -> list[float]:
    return [1000 * (each.ended - each.began) for each in attempts if each.way == way]


def _shares(times: Sequence[float]) -> str:
    return f"{quantile(times, 0.5):.2f} / {quantile(times, 0.99):.2f}"
