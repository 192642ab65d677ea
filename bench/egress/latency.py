"""What the gateway adds to a new connection, and to a request on a kept one."""

import time
from dataclasses import dataclass

from bench.egress.bare import NAME as BARE
from bench.egress.bare import bare_envoy
from bench.egress.bed import ADDRESS, NAME, Bed, allowing
from bench.egress.samples import added
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison

COUNT, QUICK = 2000, 50
TURNS = 4
"""Both ways are measured by turns, in so many parts, so that what else the machine does falls on both."""
Samples = dict[str, list[float]]
Kinds = dict[str, Samples]


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of the same ways through the gateway, and through an Envoy in its place that has nothing of ours."""

    gateway: Samples
    bare: Samples

    def proportions(self, way: str, base: str) -> list[Row]:
        """Return what puts a figure into proportion: the whole times, and what any Envoy in the way would add."""
        p50, p99 = (round(added(self.bare, way, base, share), 3) for share in (0.5, 0.99))
        note = f"p99 {p99:g} ms; {_whole(self.bare, way, base)}"
        return [
            for_comparison(
                "  p99", round(added(self.gateway, way, base, 0.99), 3), "ms", _whole(self.gateway, way, base)
            ),
            for_comparison("  added by a bare Envoy in its place, p50", p50, "ms", note),
        ]


def measure_latency(bed: Bed) -> list[Row]:
    """The same agent with the gateway and without (by CIDR), one sample of each way in turn, on a machine at rest."""
    namespace = bed.namespace()
    bare = bare_envoy(bed, namespace)
    network = allowing(NAME, cidrs=[{"cidr": f"{ADDRESS}/32"}], destinations=[{"service": {"name": BARE}}])
    seat = bed.seat(namespace, "latency", network)
    count = bed.count(COUNT, QUICK)
    bed.rest()
    before, began = bed.busy(), time.monotonic()
    found: dict[str, Kinds] = {"gateway": {}, "bare": {}}
    with bed.progress.step(f"{count} samples of each way", announce=True):
        for _ in range(TURNS):
            _add(found["gateway"], seat.run("latency", count=count // TURNS))
            _add(found["bare"], seat.run("latency", count=count // TURNS, gateway=bare))
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("latency", found)
    bed.clear()
    connections, requests = (Measured(*(found[each][kind] for each in found)) for kind in ("connect", "request"))
    return _connections(connections, note) + _requests(requests)


def _add(found: Kinds, more: Kinds) -> None:
    for kind, samples in more.items():
        for way, times in samples.items():
            found.setdefault(kind, {}).setdefault(way, []).extend(times)


def _connections(measured: Measured, note: str) -> list[Row]:
    rows = []
    for way, title in (("sni", "by SNI"), ("connect", "by CONNECT")):
        what = f"added to a new TLS connection {title}"
        samples = measured.gateway
        p99, bare = measured.proportions(way, "direct")
        rows += [
            at_most(
                f"{what}, p50 of {len(samples[way]):,}", round(added(samples, way, "direct", 0.5), 3), 0.5, "ms", note
            ),
            at_most(f"{what}, p99", float(p99.measured), 2, "ms", p99.note),
            bare,
        ]
        note = ""
    return rows


def _requests(measured: Measured) -> list[Row]:
    ways = (
        ("sni", "direct", "in TLS by SNI"),
        ("connect", "direct", "in TLS inside CONNECT"),
        ("host", "plain", "over HTTP by Host"),
        ("forwarded", "plain", "over HTTP through the proxy"),
    )
    rows = []
    for way, base, title in ways:
        what = f"added to a request on a kept connection, {title}, p50"
        p50 = round(added(measured.gateway, way, base, 0.5), 3)
        rows += [at_most(what, p50, 0.3, "ms"), *measured.proportions(way, base)]
    return rows


def _whole(samples: Samples, way: str, base: str) -> str:
    shares = ((0.5, "p50"), (0.99, "p99"))
    text = [
        f"{name} {quantile(samples[way], share):.2f} / {quantile(samples[base], share):.2f}" for share, name in shares
    ]
    return f"with it / without it, {', '.join(text)} ms"
