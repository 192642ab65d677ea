"""What the reconcilers know of the starters in pools' pods, as a Protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.settings import Settings

Unfit = tuple[Reason, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a pod's starter said last."""

    agent_uid: str = ""
    """The one agent that it has been told of, and takes orders for; empty before."""
    started: bool = False
    """True once it has handed over what is to be run."""
    refused: str = ""
    """Why it does not, where it does not."""
    inside: Inside | None = None
    """How it finds the pod's network; None before it has looked."""


def why_unfit(heard: Heard | None, *, may_be_open: bool) -> Unfit | None:
    """Return why no agent may have a warm pod, as far as its starter says. Silence says nothing against it."""
    if heard is None:
        return None
    if heard.agent_uid or heard.started:
        return (
            Reason.STARTER_REFUSED,
            f"its starter has been told of the agent of UID {heard.agent_uid}, and takes no other",
        )
    if heard.refused:
        return Reason.STARTER_REFUSED, f"its starter says: {heard.refused}"
    if heard.inside is not None and not heard.inside.closed and not may_be_open:
        message = "its starter reached the API server from inside the pod, which no policy permits"
        return Reason.CANARY_REACHED, f"{message}: see what enforces NetworkPolicies on its node"
    return None


class Starters(Protocol):
    """The starters, through the control process. What has been said stays said when the control process restarts."""

    def admit(
        self, pod_uid: str, address: str, agent: tuple[str, str] | None = None, pool: tuple[str, str] | None = None
    ) -> None:
        """Let the starter of this pod, an agent's or a pool's, ask from this address; it is told nothing yet.

        Said again on each pass: what does not differ must cost nothing. Without an agent nothing becomes of it where
        something was said of the pod for an agent: of two watches one may still show it as warm.
        """

    def order(self, pod_uid: str, address: str, agent: tuple[str, str], order: dict[str, Any]) -> None:
        """Have the starter of this pod told what to run, for the agent of this namespace and name."""

    def withdraw(self, pod_uid: str) -> None:
        """Have this pod's starter told nothing any more: the pod is gone, or its agent may not run."""

    def heard(self, pod_uid: str) -> Heard | None:
        """Return what the pod's starter said last since this replica leads; None if it has not asked."""


def fitness(starters: Starters | None, settings: Settings) -> Callable[[Pod], Unfit | None]:
    """Return what says why no agent may have a warm pod."""

    def why(pod: Pod) -> Unfit | None:
        heard = starters.heard(pod.meta.uid) if starters else None
        return why_unfit(heard, may_be_open=settings.allow_unenforced_network)

    return why
