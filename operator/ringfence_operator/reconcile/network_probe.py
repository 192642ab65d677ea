"""Finding out, every few hours, whether the cluster enforces NetworkPolicies: two pods, and when to make them."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

import structlog

from ringfence_operator import labels
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.network_verdict import Known
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.network_probe import TARGET, Like, ProbePod, build_prober, build_target
from ringfence_operator.resources.observed import KUBELET_PORT

OPEN_SECONDS = 300
"""How soon it is probed again where agents are refused: whoever mends the network does not wait for hours."""
FIRST_DELAY, MAX_DELAY = 10, 300
"""How soon it is tried again after a probe that could not run."""

OWN = "own"

log = structlog.get_logger()


class Step(Enum):
    """What happens to the two pods in this pass."""

    WAIT = auto()
    MAKE_TARGET = auto()
    MAKE_PROBER = auto()
    DELETE_TARGET = auto()
    DELETE_PROBER = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """The step, the seconds after which to look again, and what keeps the probe from running."""

    step: Step
    look_again: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that decides about the next step."""

    target: ProbePod | None
    prober: ProbePod | None
    known: Known
    is_closed: bool
    """True if the NetworkPolicy is there that closes the prober."""
    image: str
    interval: int
    failures: int
    now: datetime

    @property
    def delay(self) -> int:
        """Seconds to wait after so many probes in a row that could not run."""
        return min(MAX_DELAY, FIRST_DELAY << min(self.failures, 10))

    def since(self, pod: ProbePod) -> float:
        """Return the seconds since `pod` ended."""
        return (self.now - datetime.fromisoformat(pod.ended)).total_seconds()


def next_step(seen: Seen) -> Plan:
    """Return what to do about the two pods now; a pod that has ended stays as the record of its verdict."""
    if seen.target and seen.target.is_deleting:
        return Plan(Step.DELETE_TARGET)
    if seen.prober and seen.prober.is_deleting:
        return Plan(Step.DELETE_PROBER)
    if seen.prober and not seen.prober.has_ended:
        return Plan(Step.WAIT, problem=seen.prober.problem)
    wait = _seconds_until_due(seen)
    if wait <= 0:
        return _begin(seen)
    return Plan(Step.DELETE_TARGET) if seen.target else Plan(Step.WAIT, look_again=wait)


def _seconds_until_due(seen: Seen) -> float:
    if seen.prober is None:
        return 0.0
    known = seen.known
    if known.is_void:
        return seen.delay - seen.since(seen.prober)
    if known.is_doubted:
        return 0.0
    is_open = known.verdict is not None and not known.verdict.is_enforced
    return (min(seen.interval, OPEN_SECONDS) if is_open else seen.interval) - seen.since(seen.prober)


def _begin(seen: Seen) -> Plan:
    """A probe is due: the target first, and the last prober's record goes when the next can be made."""
    target = seen.target
    if not seen.is_closed:
        problem = (
            f"NetworkPolicy {labels.NETWORK_PROBE}, which closes the prober, is missing: apply deploy/operator.yaml"
        )
        return Plan(Step.WAIT, problem=problem)
    if target is None:
        return Plan(Step.MAKE_TARGET)
    if target.has_ended:
        wait = seen.delay - seen.since(target)
        return Plan(Step.WAIT if wait > 0 else Step.DELETE_TARGET, wait if wait > 0 else None, target.problem)
    if not target.is_ready:
        # The kubelet and the scheduler go on trying; another image is what a mended setting brings.
        return Plan(Step.WAIT if target.image == seen.image else Step.DELETE_TARGET, problem=target.problem)
    return Plan(Step.DELETE_PROBER if seen.prober else Step.MAKE_PROBER)


class NetworkProbe:
    """Makes the two pods when a probe is due, for a leader only."""

    def __init__(self, view: View, kube: Kube) -> None:
        self._view = view
        self._kube = kube
        self._like: Like | None = None
        self._failures = 0
        self._problem = ""
        self._deleted: tuple[str, ...] = ()
        """UIDs of the last ones."""
        self._told = ""

    async def reconcile(self, now: datetime) -> float | None:
        """Take the next step. Returns the seconds after which to look again, if time alone will change something."""
        if self._view.settings.probe_image is None:
            return None
        like = await self._made_like(self._view.settings.probe_image)
        seen = self._seen(like.image, now)
        self._tell(seen)
        plan = next_step(seen)
        if plan.problem and plan.problem != self._problem:
            log.warning("network_probe.cannot_run", problem=plan.problem)
        self._problem = plan.problem
        match plan.step:
            case Step.MAKE_TARGET:
                await self._make(build_target(self._view.settings.namespace, like))
            case Step.MAKE_PROBER if seen.target:
                kubelets = {node.kubelet_port for node in self._view.nodes.cache.values()} or {KUBELET_PORT}
                await self._make(build_prober(self._view.settings.namespace, like, seen.target.addresses, kubelets))
            case Step.DELETE_TARGET:
                await self._delete(seen.target, is_failure=bool(seen.target and seen.target.has_ended))
            case Step.DELETE_PROBER:
                await self._delete(seen.prober, is_failure=seen.known.is_void)
        return plan.look_again

    async def _made_like(self, image: str) -> Like:
        """Return what the pods are made like; our own pod is asked for once in the life of a process."""
        settings = self._view.settings
        if self._like is None:
            own = path(CORE, settings.namespace, "pods", settings.identity)
            self._like = Like.pod(await self._kube.get(own)) if image == OWN else Like(image)
        return self._like

    def _seen(self, image: str, now: datetime) -> Seen:
        view, namespace = self._view, self._view.settings.namespace
        prober, known = view.probe_pods.get(namespace, labels.NETWORK_PROBE), view.network.known
        if prober and prober.has_ended and not known.is_void:
            self._failures = 0
        return Seen(
            target=view.probe_pods.get(namespace, TARGET),
            prober=prober,
            known=known,
            is_closed=view.network_policies.get(namespace, labels.NETWORK_PROBE) is not None,
            image=image,
            interval=view.settings.probe_interval,
            failures=self._failures,
            now=now,
        )

    def _tell(self, seen: Seen) -> None:
        """Log what a prober found, once."""
        prober = seen.prober
        if prober is None or not prober.has_ended or prober.meta.uid == self._told:
            return
        self._told = prober.meta.uid
        if seen.known.is_void or prober.verdict is None:
            log.warning("network_probe.no_verdict", problem=prober.problem or "its target went before it ended")
            return
        say = log.info if prober.verdict.is_enforced and not prober.verdict.late else log.warning
        found = {"reached": prober.verdict.reached, "late": prober.verdict.late}
        say("network_probe.verdict", enforced=prober.verdict.is_enforced, doubted=seen.known.is_doubted, **found)

    async def _make(self, body: Raw) -> None:
        answer = await self._kube.create(path(CORE, body["metadata"]["namespace"], "pods"), body)
        log.info("network_probe.created", pod=body["metadata"]["name"])
        self._view.probe_pods.store(answer)

    async def _delete(self, pod: ProbePod | None, *, is_failure: bool) -> None:
        if pod is None or pod.meta.uid in self._deleted:
            return  # the watch will say so
        target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
        with suppress(NotFoundError):
            # At once: there is nothing that it would have to finish.
            await self._kube.delete(target, uid=pod.meta.uid, grace_seconds=0)
        self._deleted = (*self._deleted[-1:], pod.meta.uid)
        self._failures += is_failure
