"""What the gateway adds to a new connection, and to a request on a kept one."""

import time

from bench.egress.bed import ADDRESS, NAME, Bed, allowing
from bench.egress.samples import added
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison

COUNT, QUICK = 2000, 50
Samples = dict[str, list[float]]


def measure_latency(bed: Bed) -> list[Row]:
    """The same agent with the gateway and without (by CIDR), one sample of each way in turn, on a machine at rest."""
    namespace = bed.namespace()
    seat = bed.seat(namespace, "latency", allowing(NAME, cidrs=[{"cidr": f"{ADDRESS}/32"}]))
    count = bed.count(COUNT, QUICK)
    bed.rest()
    before, began = bed.busy(), time.monotonic()
    with bed.progress.step(f"{count} samples of each way", announce=True):
        found = seat.run("latency", count=count)
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("latency", found)
    bed.clear()
    return _connections(found["connect"], note) + _requests(found["request"])


def _connections(samples: Samples, note: str) -> list[Row]:
    rows = []
    for way, title in (("sni", "by SNI"), ("connect", "by CONNECT")):
        what = f"added to a new TLS connection {title}"
        count = len(samples[way])
        rows += [
            at_most(f"{what}, p50 of {count:,}", round(added(samples, way, "direct", 0.5), 3), 0.5, "ms", note),
            at_most(f"{what}, p99", round(added(samples, way, "direct", 0.99), 3), 2, "ms"),
            _whole(samples, way, "direct"),
        ]
        note = ""
    return rows


def _requests(samples: Samples) -> list[Row]:
    ways = (
        ("sni", "direct", "in TLS by SNI"),
        ("connect", "direct", "in TLS inside CONNECT"),
        ("host", "plain", "over HTTP by Host"),
        ("forwarded", "plain", "over HTTP through the proxy"),
    )
    rows = []
    for way, base, title in ways:
        what = f"added to a request on a kept connection, {title}, p50"
        rows += [
            at_most(what, round(added(samples, way, base, 0.5), 3), 0.3, "ms"),
            for_comparison("  p99", round(added(samples, way, base, 0.99), 3), "ms"),
            _whole(samples, way, base),
        ]
    return rows


def _whole(samples: Samples, way: str, base: str) -> Row:
    shares = ((0.5, "p50"), (0.99, "p99"))
    text = [f"{quantile(samples[way], share):.2f} / {quantile(samples[base], share):.2f}" for share, _ in shares]
    return for_comparison("  with the gateway / without it, p50", text[0], "ms", f"p99 {text[1]}")
