"""How much goes through the gateway, and what that costs."""

from dataclasses import dataclass

from bench.egress.bed import ADDRESS, NAME, Bed, allowing
from bench.egress.samples import per_gigabyte
from bench.egress.traffic import Seat
from bench.quantile import quantile
from bench.row import Row, for_comparison

SECONDS, QUICK_SECONDS = 5.0, 1.0
ROUNDS, QUICK_ROUNDS = 5, 1
STREAMS = (1, 64)
WAYS = (("sni", "direct", "TLS by SNI"), ("connect", "direct", "TLS inside CONNECT"), ("host", "plain", "HTTP by Host"))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one way: bytes a second, and what Envoy used for each 10^9 of them."""

    rate: float
    cpu: float


def measure_throughput(bed: Bed) -> list[Row]:
    """Streams from one server to one agent, with the gateway and without by turns."""
    namespace = bed.namespace()
    seat = bed.seat(namespace, "streams", allowing(NAME, cidrs=[{"cidr": f"{ADDRESS}/32"}]))
    rounds = bed.count(ROUNDS, QUICK_ROUNDS)
    runs: dict[str, list[Run]] = {}
    with bed.progress.step(f"{rounds} rounds of streams", announce=True):
        for number in range(rounds):
            for streams in STREAMS:
                for way in ("direct", "sni", "connect", "plain", "host"):
                    runs.setdefault(f"{way} {streams}", []).append(_run(bed, seat, way, streams))
            bed.progress.note(f"round {number + 1} of {rounds}")
    bed.keep("throughput", {name: [(each.rate, each.cpu) for each in found] for name, found in runs.items()})
    bed.clear()
    return [row for way, base, title in WAYS for streams in STREAMS for row in _rows(runs, way, base, title, streams)]


def _run(bed: Bed, seat: Seat, way: str, streams: int) -> Run:
    gateways = bed.gateways()
    before = sum(each.envoy_use().cpu for each in gateways)
    said = seat.run("stream", seconds=QUICK_SECONDS if bed.is_quick else SECONDS, way=way, streams=streams)
    cpu = sum(each.envoy_use().cpu for each in gateways) - before
    return Run(said["bytes"] / said["seconds"], per_gigabyte(cpu, said["bytes"]))


def _rows(runs: dict[str, list[Run]], way: str, base: str, title: str, streams: int) -> list[Row]:
    ours, alone = runs[f"{way} {streams}"], runs[f"{base} {streams}"]
    rate, without = (quantile((each.rate for each in found), 0.5) for found in (ours, alone))
    cpu = quantile((each.cpu for each in ours), 0.5)
    what = f"throughput, {title}, {streams} stream{'s' if streams > 1 else ''}: of that without the gateway"
    note = f"{rate / 1e6:.0f} MB/s, without the gateway {without / 1e6:.0f} MB/s; client and server are on this machine"
    return [
        for_comparison(what, round(rate / without, 2), "x", note),
        for_comparison("  Envoy's CPU for each GB", round(cpu, 2), "s"),
    ]
