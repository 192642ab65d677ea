"""Where responder, resolver and access log say what happened: counted for reports, and for Prometheus without names."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ringfence_gateway.names import Verdict
from ringfence_gateway.tally import Tally

DNS_PORT = 53


class Record(Collector):
    """Counts for the port sets that are served, and for no others, so that nobody can make it grow."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.tally = Tally()
        self._clock = clock
        self._policies: dict[int, str] = {}
        self._requests: Counter[tuple[int, str, str]] = Counter()
        self._dns: Counter[tuple[int, str]] = Counter()
        self._dropped: Counter[int] = Counter()
        self._limited: dict[tuple[int, str], int] = {}
        self._refused = 0

    def serve(self, block: int, policy: str) -> None:
        """Count for `block` under the name of its policy."""
        if self._policies.get(block, policy) != policy:
            self.forget(block)
        self._policies[block] = policy

    def forget(self, block: int) -> None:
        """Drop what was counted for `block`."""
        self._policies.pop(block, None)
        self._dropped.pop(block, None)
        self.tally.forget(block)
        counters: tuple[dict[Any, int], ...] = (self._requests, self._dns, self._limited)
        for counter in counters:
            for key in [key for key in counter if key[0] == block]:
                del counter[key]

    def requested(self, block: int, name: str | None, port: int, verdict: Verdict, *, via: str) -> None:
        """Count a request; `name` is normalized, or None if it was no name."""
        if block in self._policies:
            self.tally.add(block, name, port, verdict, now=int(self._clock()))
            self._requests[block, verdict.value, via] += 1

    def take(self) -> Tally:
        """Return what was counted since the last time."""
        taken, self.tally = self.tally, Tally()
        return taken

    def give_back(self, tally: Tally) -> None:
        """Count what was taken again, as far as it is of policies that are still there."""
        gone = {*tally.names, *(block for block, _ in tally.other)} - self._policies.keys()
        for block in gone:
            tally.forget(block)
        self.tally.merge(tally)

    def asked(self, block: int, name: str | None, verdict: Verdict) -> None:
        """Count a name that DNS was asked for and that is not on the list."""
        self.requested(block, name, DNS_PORT, verdict, via="dns")

    def answered(self, block: int, rcode: str) -> None:
        """Count a DNS answer."""
        self._dns[block, rcode] += 1

    def dropped(self, block: int) -> None:
        """Count a DNS query beyond the allowance."""
        self._dropped[block] += 1

    def limited(self, closed: Mapping[tuple[int, str], int]) -> None:
        """Note how many connections Envoy has closed so far, by block and by the limit that they were beyond."""
        self._limited = {key: count for key, count in closed.items() if key[0] in self._policies}

    def refused(self) -> None:
        """Count a name that would have led Envoy to an address that is not public."""
        self._refused += 1

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        requests = CounterMetricFamily(
            "ringfence_gateway_requests", "Requests by policy, verdict and way.", labels=("policy", "verdict", "via")
        )
        for (block, verdict, via), count in self._requests.items():
            requests.add_metric((self._policies[block], verdict, via), count)
        yield requests
        dns = CounterMetricFamily("ringfence_gateway_dns_queries", "DNS answers.", labels=("policy", "rcode"))
        for (block, rcode), count in self._dns.items():
            dns.add_metric((self._policies.get(block, ""), rcode), count)
        yield dns
        dropped = CounterMetricFamily(
            "ringfence_gateway_dns_dropped", "DNS queries beyond a policy's allowance.", labels=("policy",)
        )
        for block, count in self._dropped.items():
            dropped.add_metric((self._policies.get(block, ""),), count)
        yield dropped
        limited = CounterMetricFamily(
            "ringfence_gateway_connections_limited",
            "Connections closed because a policy opened too many new ones, or had too many open.",
            labels=("policy", "limit"),
        )
        for (block, limit), count in self._limited.items():
            limited.add_metric((self._policies[block], limit), count)
        yield limited
        yield CounterMetricFamily(
            "ringfence_gateway_resolver_refused", "Names that have no public address.", value=self._refused
        )
