"""What the sidecars are to be told, and what they report: bookkeeping without a socket."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from ringfence_operator.reconcile.sidecars import ConnectorHealth, EndpointHealth, Inside
from ringfence_operator.resources.sidecar_configuration import with_limits

Message = dict[str, Any]
ConnectorKey = tuple[str, str]
AgentKey = tuple[str, str]
NOT_CHECKED = "NotChecked"
"""What a sidecar says of an endpoint that it has not looked at yet: nothing that anybody could be told."""


@dataclass(slots=True)
class _Published:
    address: str
    configuration: Mapping[str, Any] = field(repr=False)
    namespace: str
    agent: str

    def message(self, uid: str) -> Message:
        return {"kind": "sidecar", "uid": uid, "address": self.address, "configuration": self.configuration}


@dataclass(slots=True)
class _Report:
    cache_reachable: bool | None
    cache_evicts: str
    health: dict[tuple[str, int], list[Mapping[str, Any]]]
    """Connector's name and generation → its endpoints."""
    inside: Inside | None
    uses: tuple[Mapping[str, Any], ...] = ()


class SidecarBook:
    """A `reconcile.sidecars.Sidecars`; `send` takes messages to the control process, while there is one.

    `on_change` hears of each connector (namespace and name) of which a sidecar reports something else than before,
    `on_inside` of each agent whose pod's network is found to be another, `on_use` of each quota, by its UID.
    """

    def __init__(
        self,
        *,
        send: Callable[[Message], None],
        on_change: Callable[[ConnectorKey], None],
        on_inside: Callable[[AgentKey], None] = lambda _: None,
        on_use: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._send: Final = send
        self._on_change: Final = on_change
        self._on_inside: Final = on_inside
        self._on_use: Final = on_use
        self._published: dict[str, _Published] = {}
        self._warm: dict[str, str] = {}
        """By the UID of each pod that no agent has, its address."""
        self._reports: dict[str, _Report] = {}
        self._reporting: defaultdict[ConnectorKey, set[str]] = defaultdict(set)
        """Which pods report of a connector."""

    def reset(self) -> None:
        """Forget everything: another replica may have led meanwhile."""
        for kept in (self._published, self._warm, self._reports, self._reporting):
            kept.clear()

    def admit(self, pod_uid: str, address: str) -> None:
        """Let the sidecar of this warm pod ask from this address; it is told nothing before an agent has the pod."""
        if pod_uid in self._published or self._warm.get(pod_uid) == address:
            return
        self._warm[pod_uid] = address
        self._send(_unassigned(pod_uid, address))

    def publish(self, pod_uid: str, address: str, configuration: dict[str, Any]) -> None:
        """Have the sidecar of this pod served `configuration`, and no other pod and no other address."""
        present = self._published.get(pod_uid)
        if present is not None and present.address == address and present.configuration == configuration:
            return
        agent = configuration["agent"]
        fresh = _Published(address, configuration, str(agent["namespace"]), str(agent["name"]))
        self._published[pod_uid] = fresh
        self._warm.pop(pod_uid, None)
        self._send(fresh.message(pod_uid))

    def limit(self, pod_uid: str, limits: Sequence[Mapping[str, Any]]) -> None:
        """Have the sidecar of this pod keep these limits; nothing, if it is served nothing."""
        present = self._published.get(pod_uid)
        if present is not None:
            self.publish(pod_uid, present.address, with_limits(present.configuration, limits))

    def withdraw(self, pod_uid: str) -> None:
        """Have this pod's sidecar served nothing any more."""
        self.withdraw_warm(pod_uid)
        present = self._published.pop(pod_uid, None)
        if present is None:
            return
        self._send({"kind": "sidecarGone", "uid": pod_uid})
        self._replace(pod_uid, present.namespace, None)

    def withdraw_warm(self, pod_uid: str) -> None:
        """Have this pod's sidecar not let in any more, unless the pod has come to be an agent's."""
        if self._warm.pop(pod_uid, None) is not None:
            self._send({"kind": "sidecarGone", "uid": pod_uid})

    def health(self, connector: ConnectorKey, generation: int) -> ConnectorHealth:
        """Return what the sidecars that have this generation of the connector report."""
        name, entries, reports = connector[1], defaultdict(list), []
        for uid in self._reporting.get(connector, ()):
            report = self._reports[uid]
            found = report.health.get((name, generation))
            if found is None:
                continue
            reports.append(report)
            for each in found:
                if each["reason"] != NOT_CHECKED:
                    entries[str(each["endpoint"])].append(each)
        known = [each.cache_reachable for each in reports if each.cache_reachable is not None]
        return ConnectorHealth(
            endpoints={endpoint: _endpoint_health(found) for endpoint, found in sorted(entries.items())},
            cache_reachable=all(known) if known else None,
            cache_evicts=max((each.cache_evicts for each in reports), default=""),
        )

    def agent_of(self, pod_uid: str) -> AgentKey | None:
        """Return whose sidecar it is that is served as this pod's."""
        published = self._published.get(pod_uid)
        return (published.namespace, published.agent) if published else None

    def has_reported(self, pod_uid: str) -> bool:
        """Return True if the pod's sidecar has reported since this replica leads."""
        return pod_uid in self._reports

    def inside(self, pod_uid: str) -> Inside | None:
        """Return what the pod's network is like; None if its sidecar has not said, or is of a version that does not."""
        report = self._reports.get(pod_uid)
        return report.inside if report else None

    def messages(self) -> Iterator[Message]:
        """Yield what a control process has to be told that knows nothing yet."""
        for uid, published in self._published.items():
            yield published.message(uid)
        for uid, address in self._warm.items():
            yield _unassigned(uid, address)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take a pod's report. Raises KeyError."""
        uid = str(message["uid"])
        published = self._published.get(uid)
        if published is None:
            return
        health: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for each in message["health"]:
            health.setdefault((str(each["connector"]), int(each["generation"])), []).append(each)
        wire = message["inside"]
        inside = Inside(closed=bool(wire["closed"]), way_out=wire["wayOut"]) if wire else None
        before = self._reports.get(uid)
        uses = tuple(message["uses"])
        report = _Report(message["cacheReachable"], message["cacheEvicts"], health, inside, uses)
        self._replace(uid, published.namespace, report)
        if before is None or before.inside != inside:
            self._on_inside((published.namespace, published.agent))

    def _replace(self, uid: str, namespace: str, report: _Report | None) -> None:
        before = self._reports.pop(uid, None)
        had = {name for name, _ in before.health} if before else set()
        has = {name for name, _ in report.health} if report else set()
        if report is not None:
            self._reports[uid] = report
        for name in had - has:
            self._reporting[namespace, name].discard(uid)
            if not self._reporting[namespace, name]:
                del self._reporting[namespace, name]
        for name in has:
            self._reporting[namespace, name].add(uid)
        for name in sorted(had | has):
            self._on_change((namespace, name))
        used, uses = before.uses if before else (), report.uses if report else ()
        if used != uses:
            for quota in sorted({str(each["quotaUid"]) for each in (*used, *uses)}):
                self._on_use(quota)

    def uses(self, pod_uid: str) -> tuple[Mapping[str, Any], ...]:
        """Return what the pod's sidecar reported last of limits that no Redis has."""
        report = self._reports.get(pod_uid)
        return report.uses if report else ()


def _unassigned(uid: str, address: str) -> Message:
    return {"kind": "sidecar", "uid": uid, "address": address, "configuration": None}


def _endpoint_health(found: list[Mapping[str, Any]]) -> EndpointHealth:
    well = [each for each in found if each["healthy"]]
    ill = [each for each in found if not each["healthy"]]
    said = Counter((str(each["reason"]), str(each["message"])) for each in ill).most_common(1)
    reason, message = said[0][0] if said else ("", "")
    return EndpointHealth(
        healthy=len(well),
        unhealthy=len(ill),
        latency_ms=median(float(each["latencyMs"]) for each in well) if well else 0.0,
        reason=reason,
        message=message,
    )
