"""Whether the cluster enforces NetworkPolicies, as far as its probes have found out."""

from dataclasses import dataclass, replace

from ringfence_operator.resources.network_probe import ProbePod, Verdict

_NAMES = {"pod": "another pod", "kubelet": "the kubelet of its node"}


@dataclass(frozen=True, slots=True)
class Known:
    """What holds, and what is known of the last prober that ended."""

    verdict: Verdict | None = None
    judged: str = ""
    """UID of the last prober that ended."""
    is_void: bool = False
    """That one gave no verdict."""
    is_doubted: bool = False
    """The last verdict was the first bad one after a good one: a glitch must not stop a fleet."""
    watched: str = ""
    """UID of the last prober that was seen before its end."""


def learn(known: Known, prober: ProbePod | None, target: ProbePod | None) -> Known:
    """Return what is known once the two pods have been seen; each prober is judged once."""
    if prober is None or prober.meta.uid == known.judged:
        return known
    uid = prober.meta.uid
    if not prober.has_ended:
        return replace(known, watched=uid)
    known = replace(known, judged=uid, is_void=False)
    verdict = prober.verdict
    # A target stays until its prober has ended: without one, there was nothing to reach. Where the prober ended while
    # we were away, the target went as it should.
    if verdict is None or (verdict.is_enforced and known.watched == uid and not _is_there(target)):
        return replace(known, is_void=True)
    was_good = known.verdict is not None and known.verdict.is_enforced
    if was_good and not verdict.is_enforced and not known.is_doubted:
        return replace(known, is_doubted=True)
    return replace(known, verdict=verdict, is_doubted=False)


def _is_there(target: ProbePod | None) -> bool:
    return target is not None and target.is_ready and not target.is_deleting


class NetworkKnowledge:
    """What is known now: kept while the next probe runs, and when somebody deletes the last one's pod."""

    def __init__(self) -> None:
        self.known = Known()

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that holds; None before the first one."""
        return self.known.verdict

    def learn(self, prober: ProbePod | None, target: ProbePod | None) -> None:
        """Take note of the two pods as they are now."""
        self.known = learn(self.known, prober, target)

    def enforced(self) -> bool | None:
        """Return whether NetworkPolicies are enforced; None while nobody knows."""
        return self.verdict.is_enforced if self.verdict else None


def why_open(verdict: Verdict | None) -> str:
    """Return what to say to agents if NetworkPolicies are not enforced; nothing if they are, or nobody knows."""
    if verdict is None or verdict.is_enforced:
        return ""
    reached = " and ".join(_NAMES[each] for each in verdict.reached)
    return (
        f"the cluster does not enforce NetworkPolicies: a pod that may reach nothing reached {reached}. Install a "
        "network plug-in that enforces them, or, for development only, start the operator with "
        "RINGFENCE_OPERATOR_ALLOW_UNENFORCED_NETWORK=true"
    )
