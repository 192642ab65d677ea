"""What the reconcilers know of the egress gateway, as a Protocol, and what they make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.security_policy import GatewayReplica, SeenDomain
from ringfence_operator.resources.port_set import PortSet


class Force(Enum):
    """How far a port set has come."""

    IN_FORCE = auto()
    PENDING = auto()
    REFUSED = auto()
    UNAVAILABLE = auto()
    """No replica of the gateway is there to have it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a policy's port set stands."""

    force: Force
    seconds: float = 0.0
    """How long it has stood so."""
    message: str = ""
    replicas: tuple[GatewayReplica, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What agents under a policy asked for and no status tells yet."""

    observed: tuple[SeenDomain, ...] = ()
    denied: tuple[SeenDomain, ...] = ()
    observed_others: int = 0
    """How often something else, that is no valid name or beyond the bound."""
    denied_others: int = 0


class Gateway(Protocol):
    """The replicas of the egress gateway, through the control process (see `egress.feed`)."""

    def publish(self, port_set: PortSet, *, generation: int) -> None:
        """Have the gateway serve `port_set`, which is what the policy says at `generation`."""

    def withdraw(self, block: int) -> None:
        """Have the gateway close the block."""

    def holder(self, block: int) -> str:
        """Return the policy (namespace, a slash, name) that has the block on the gateway, or nothing."""

    def is_released(self, block: int, replicas: Sequence[str]) -> bool:
        """Return True if none of `replicas` serves the block any more."""

    def is_closing(self, block: int, replicas: Sequence[str]) -> bool:
        """Return True if the block was withdrawn and one of `replicas` may serve it still."""

    def former(self, block: int) -> PortSet | None:
        """Return what was published on a block that is withdrawn, if that is known."""

    def standing(self, policy: str, replicas: Sequence[str]) -> Standing:
        """Return where the policy (namespace, a slash, name) stands on `replicas`."""

    def seen(self, policy: str) -> Seen:
        """Return what agents under the policy asked for and was not told yet."""

    def told(self, policy: str, seen: Seen) -> None:
        """Take `seen` as told: a status has it."""


SETTLE_SECONDS = 10.0
"""How long something may be on its way to the gateway before an object says that it is not in force."""

_SAID = {
    Force.IN_FORCE: (Reason.IN_FORCE, "every replica of the egress gateway has it in force"),
    Force.PENDING: (Reason.GATEWAY_PENDING, "the egress gateway does not have the present form yet"),
    Force.REFUSED: (Reason.GATEWAY_REFUSED, "the egress gateway refuses it"),
    Force.UNAVAILABLE: (
        Reason.GATEWAY_UNAVAILABLE,
        "no replica of the egress gateway is connected, so nothing leaves by name; see Deployment ringfence-gateway",
    ),
}


def explain(standing: Standing) -> tuple[Reason, str]:
    """Return the reason and the sentence for where a port set stands."""
    reason, sentence = _SAID[standing.force]
    return reason, f"{sentence}: {standing.message}" if standing.message else sentence
