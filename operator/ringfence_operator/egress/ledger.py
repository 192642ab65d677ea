"""What the gateway was told, what it acknowledged, and what it saw: bookkeeping without a socket."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ringfence_operator.api.security_policy import GatewayReplica, SeenDomain
from ringfence_operator.egress.seen_names import Counts
from ringfence_operator.reconcile.gateway import Force, Seen, Standing
from ringfence_operator.resources.port_set import PortSet


@dataclass(slots=True)
class _Published:
    port_set: PortSet
    generation: int
    since: float | None
    """Since when it has been on its way to a replica, None once it was seen to be in force on all of them."""
    in_force: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Replica → version and generation that it has acknowledged."""
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Replica → version and the reason that it refused it with."""

    @property
    def refusal(self) -> str | None:
        """Why a replica refused the present version, None if none did."""
        return next((why for has, why in self.refused.values() if has == self.port_set.version), None)

    def behind(self, replicas: Sequence[str]) -> list[str]:
        """Return those of `replicas` that have not acknowledged the present version."""
        return [name for name in replicas if self.in_force.get(name, ("", 0))[0] != self.port_set.version]


@dataclass(slots=True)
class _Withdrawn:
    port_set: PortSet | None
    """What was there before, None if another leader published it."""
    released: set[str] = field(default_factory=set)
    """The replicas that serve it no longer."""


class Ledger:
    """The gateway as the leader knows it; a `reconcile.gateway.Gateway` but for sending.

    `on_change` hears of each policy (namespace, a slash, name) of which something became different; `on_seen` of each
    whose agents asked for names.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[str], None],
        on_seen: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.published: dict[int, _Published] = {}
        self._by_policy: dict[str, int] = {}
        self._withdrawn: dict[int, _Withdrawn] = {}
        self._joined: set[str] = set()
        self._counts: dict[str, Counts] = defaultdict(Counts)
        self._on_change = on_change
        self._on_seen = on_seen
        self._clock = clock
        self._since = clock()
        self._alone: float | None = None

    def reset(self) -> None:
        """Forget everything: another replica may have led meanwhile."""
        for kept in (self.published, self._by_policy, self._withdrawn, self._joined, self._counts):
            kept.clear()
        self._since = self._clock()
        self._alone = None

    # What the reconcilers say and ask.

    def publish(self, port_set: PortSet, *, generation: int) -> bool:
        """Take note of what the policy says at `generation`; return whether the gateway has to be told."""
        block, present = port_set.block, self.published.get(port_set.block)
        self._withdrawn.pop(block, None)
        if present is not None and present.port_set.policy != port_set.policy:
            self._forget_policy(present.port_set.policy, block)
        self._by_policy[port_set.policy] = block
        if present is not None and present.port_set == port_set:
            present.generation = generation
            self._renew(present)
            return False
        same = present if present is not None and present.port_set.policy == port_set.policy else None
        self.published[block] = _Published(
            port_set, generation, self._clock(), in_force=dict(same.in_force) if same else {}
        )
        return True

    def _renew(self, present: _Published) -> None:
        """A later generation that changes nothing for the gateway is in force as soon as it is there."""
        version = present.port_set.version
        for replica, (has, _) in present.in_force.items():
            if has == version:
                present.in_force[replica] = has, present.generation

    def withdraw(self, block: int) -> bool:
        """Take note that the block is to be closed; return whether the gateway has to be told."""
        present = self.published.pop(block, None)
        if present is not None:
            self._forget_policy(present.port_set.policy, block)
        if block in self._withdrawn:
            return False
        self._withdrawn[block] = _Withdrawn(present.port_set if present is not None else None)
        return True

    def _forget_policy(self, policy: str, block: int) -> None:
        if self._by_policy.get(policy) == block:
            del self._by_policy[policy]
            self._counts.pop(policy, None)

    @property
    def withdrawn(self) -> list[int]:
        """The blocks that are to be closed or have been."""
        return sorted(self._withdrawn)

    def is_published(self, policy: str) -> bool:
        """Return True if the policy has a port set here."""
        return policy in self._by_policy

    def holder(self, block: int) -> str:
        """Return the policy that was published on the block, or nothing."""
        present = self.published.get(block)
        return present.port_set.policy if present is not None else ""

    def is_released(self, block: int, replicas: Sequence[str]) -> bool:
        """Return True if none of `replicas` serves the block any more."""
        withdrawn = self._withdrawn.get(block)
        return withdrawn.released.issuperset(replicas) if withdrawn is not None else not replicas

    def is_closing(self, block: int, replicas: Sequence[str]) -> bool:
        """Return True if the block was withdrawn and one of `replicas` may serve it still."""
        return block in self._withdrawn and not self.is_released(block, replicas)

    def former(self, block: int) -> PortSet | None:
        """Return what was published on a block that is withdrawn, if that is known."""
        withdrawn = self._withdrawn.get(block)
        return withdrawn.port_set if withdrawn is not None else None

    def standing(self, policy: str, replicas: Sequence[str]) -> Standing:
        """Return where the policy stands on `replicas`, which are those that connections may come to.

        How long it has stood so counts from the first call that found it so, which is why each call is taken note of.
        """
        block, now = self._by_policy.get(policy), self._clock()
        present = self.published.get(block) if block is not None else None
        if present is None:
            return Standing(Force.PENDING, now - self._since)
        self._note(present, replicas, now)
        return self._judge(present, replicas, now)

    def _note(self, present: _Published, replicas: Sequence[str], now: float) -> None:
        """Begin or end the times that `replicas` begin or end: without any, and with the policy on its way."""
        if not replicas:
            self._alone = now if self._alone is None else self._alone
            return
        self._alone = None
        if present.refusal is None and not present.behind(replicas):
            present.since = None
        elif present.since is None and (present.refusal is not None or self._joined):
            # One that came or went after all had it begins anew.
            present.since = now

    def _judge(self, present: _Published, replicas: Sequence[str], now: float) -> Standing:
        # Of others no answer counts, and one that went while nobody listened is never said to have left.
        told = tuple(
            GatewayReplica(name=name, generation=had[1])
            for name, had in sorted(present.in_force.items())
            if name in replicas
        )
        if not replicas:
            return Standing(Force.UNAVAILABLE, _since(self._alone, now), replicas=told)
        if present.refusal is not None:
            return Standing(Force.REFUSED, _since(present.since, now), present.refusal, told)
        behind = present.behind(replicas)
        if behind and not self._joined:
            return Standing(Force.UNAVAILABLE, now - self._since, replicas=told)
        if behind:
            return Standing(Force.PENDING, _since(present.since, now), f"waiting for {', '.join(behind[:4])}", told)
        return Standing(Force.IN_FORCE, replicas=told)

    def seen(self, policy: str) -> Seen:
        """Return what agents under the policy asked for and was not told yet."""
        counts = self._counts.get(policy)
        if counts is None:
            return Seen()
        observed, denied = counts.observed, counts.denied
        return Seen(tuple(observed.names.values()), tuple(denied.names.values()), observed.others, denied.others)

    def told(self, policy: str, seen: Seen) -> None:
        """Take `seen` off what is still to be told."""
        counts = self._counts.get(policy)
        if counts is not None:
            counts.observed.subtract(seen.observed, seen.observed_others)
            counts.denied.subtract(seen.denied, seen.denied_others)

    # What the control process says.

    def forget_replicas(self) -> None:
        """The control process is gone, and with it what it knew."""
        self._joined.clear()
        self._since = self._clock()
        for present in self.published.values():
            present.refused.clear()

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message of the control process. Raises KeyError or ValueError for one that is none."""
        replica = str(message["replica"])
        match message["kind"]:
            case "joined":
                self._joined.add(replica)
            case "left":
                self._left(replica)
            case "inForce" | "refused":
                self._answered(message, replica)
            case "released":
                # Of a block that was published again meanwhile, it is about what was there before.
                if (withdrawn := self._withdrawn.get(int(message["block"]))) is not None:
                    withdrawn.released.add(replica)
            case "seen":
                self._saw(message)
            case kind:
                raise ValueError(f"no such message: {kind}")

    def _left(self, replica: str) -> None:
        self._joined.discard(replica)
        if not self._joined:
            self._since = self._clock()
        for present in self.published.values():
            had = present.in_force.pop(replica, None), present.refused.pop(replica, None)
            if any(had):
                self._on_change(present.port_set.policy)

    def _answered(self, message: dict[str, Any], replica: str) -> None:
        present = self.published.get(int(message["block"]))
        version = str(message["version"])
        if present is None or present.port_set.version != version:
            return  # overtaken: the next answer is about what is there now
        if message["kind"] == "inForce":
            present.in_force[replica] = version, present.generation
            present.refused.pop(replica, None)
        else:
            present.refused[replica] = version, str(message["message"])[:1024]
        self._on_change(present.port_set.policy)

    def _saw(self, message: dict[str, Any]) -> None:
        touched = set()
        for each in message["names"]:
            present = self.published.get(int(each["block"]))
            if present is None:
                continue
            fresh = SeenDomain(
                name=each["name"],
                port=each["port"],
                count=each["count"],
                last_seen=datetime.fromtimestamp(each["last"], UTC),
            )
            for kept in self._counts[present.port_set.policy].of(each["verdict"]):
                kept.add(fresh)
            touched.add(present.port_set.policy)
        for each in message["other"]:
            present = self.published.get(int(each["block"]))
            if present is None:
                continue
            for kept in self._counts[present.port_set.policy].of(each["verdict"]):
                kept.others += int(each["count"])
            touched.add(present.port_set.policy)
        for policy in touched:
            self._on_seen(policy)


def _since(began: float | None, now: float) -> float:
    return 0.0 if began is None else now - began
