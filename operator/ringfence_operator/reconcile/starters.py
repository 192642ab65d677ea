"""What the reconcilers know of the starters in pools' pods, as a Protocol."""

from dataclasses import dataclass
from typing import Any, Protocol

from ringfence_operator.reconcile.sidecars import Inside


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


class Starters(Protocol):
    """The starters, through the control process. What has been said stays said when the control process restarts."""

    def admit(self, pod_uid: str, address: str, agent: tuple[str, str] | None = None) -> None:
        """Let the starter of this pod, which may be an agent's, ask from this address; it is told nothing yet.

        Said again on each pass: what does not differ must cost nothing. Without an agent nothing becomes of it where
        something was said of the pod for an agent: of two watches one may still show it as warm.
        """

    def order(self, pod_uid: str, address: str, agent: tuple[str, str], order: dict[str, Any]) -> None:
        """Have the starter of this pod told what to run, for the agent of this namespace and name."""

    def withdraw(self, pod_uid: str) -> None:
        """Have this pod's starter told nothing any more: the pod is gone, or its agent may not run."""

    def heard(self, pod_uid: str) -> Heard | None:
        """Return what the pod's starter said last since this replica leads; None if it has not asked."""
