"""All agents that a meter counts for, and what each may do now. Pure; who opens and closes connections is `relay`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ringfence_gateway.meter.history import History
from ringfence_gateway.meter.orders import Orders

MOST_OPEN = 512
"""Connections of one agent at once, whatever its quotas say: each may hold buffers."""
MOST_AGENTS = 8_192
"""Agents that are remembered; of those that are gone, the earliest is forgotten first."""


@dataclass(slots=True)
class Account:
    """One agent's: what it has used, through whichever of its pods."""

    total: int = 0
    """Bytes since this meter began."""
    open: int = 0
    refused: int = 0
    """Connections that were not let in because too many were open."""
    cut: int = 0
    """Connections that were closed, or not let in, for what had been used."""
    history: History = field(default_factory=History)
    counted: int = 0
    """Of `total`, what is in `history`."""
    pods: dict[str, int] = field(default_factory=dict)
    """Of `total`, by the UID of the pods that are there."""
    orders: Orders | None = None
    """The latest, of whichever pod."""
    is_changed: bool = True


@dataclass(slots=True)
class Book:
    """`meter` is the name of this meter in `Orders.totals`, its replica's name a part of it."""

    meter: str
    on_spent: Callable[[str], None] = lambda _: None
    """Hears the UID of a pod whose connections must be cut: nothing is left, or it is gone."""
    accounts: dict[str, Account] = field(default_factory=dict)
    _pods: dict[str, Orders] = field(default_factory=dict)
    _by_address: dict[str, str] = field(default_factory=dict)

    def put(self, orders: Orders) -> None:
        """Take new orders for a pod. One that had its address before is gone."""
        before = self._by_address.get(orders.address)
        if before is not None and before != orders.uid:
            self.remove(before)
        earlier = self._pods.get(orders.uid)
        if earlier is not None and earlier.address != orders.address:
            self.remove(orders.uid)
        if orders.agent not in self.accounts:
            self._make_room()
            self.accounts[orders.agent] = Account()
        account = self.accounts[orders.agent]
        orders = account.orders = self._as_known(orders, account)
        self._pods[orders.uid] = orders
        self._by_address[orders.address] = orders.uid
        if self.room(orders) == 0:
            self.on_spent(orders.uid)

    def _as_known(self, orders: Orders, account: Account) -> Orders:
        """Return the orders with what was known before, if whoever gives them has not heard of it yet.

        An operator that begins says what it would leave to an agent that has used nothing. It says so again as soon as
        meters have told it: until then no more may pass than might have before, and nobody is cut for it.
        """
        earlier = account.orders
        if earlier is None or earlier.left is None or orders.left is None:
            return orders
        has_forgotten = earlier.totals and not orders.totals
        if not has_forgotten and (self.meter in orders.totals or self.meter not in earlier.totals):
            return orders
        counted = {self.meter: account.total} if account.total else {}
        return replace(orders, left=min(orders.left, self.room(earlier) or 0), totals=earlier.totals | counted)

    def remove(self, uid: str) -> None:
        """The pod is gone; what its agent used is remembered."""
        orders = self._pods.pop(uid, None)
        if orders is not None:
            del self._by_address[orders.address]
            self.accounts[orders.agent].pods.pop(uid, None)
            self.on_spent(uid)

    def orders(self, uid: str) -> Orders | None:
        """Return what holds for a pod now."""
        return self._pods.get(uid)

    def at(self, address: str) -> Orders | None:
        """Return what holds for the pod at `address`, None while nobody has said."""
        return self._pods.get(self._by_address.get(address, ""))

    def room(self, orders: Orders) -> int | None:
        """Return how many bytes more may pass, None for any number."""
        if orders.left is None:
            return None
        return max(0, orders.totals.get(self.meter, 0) + orders.left - self.accounts[orders.agent].total)

    def open(self, orders: Orders) -> bool:
        """Count a connection if one more may be open; return whether it may."""
        account = self.accounts[orders.agent]
        account.is_changed = True
        share = orders.share(self.meter.partition("/")[0])
        if self.room(orders) == 0:
            account.cut += 1
            return False
        if account.open >= min(MOST_OPEN, MOST_OPEN if share is None else share):
            account.refused += 1
            return False
        account.open += 1
        return True

    def close(self, agent: str, *, is_cut: bool) -> None:
        """A connection that `open` counted is closed; `is_cut` if for what the agent had used."""
        account = self.accounts[agent]
        account.open -= 1
        account.cut += is_cut
        account.is_changed = True

    def pass_on(self, uid: str, count: int) -> int:
        """Count up to `count` bytes; return how many of them may pass."""
        orders = self._pods.get(uid)
        if orders is None:
            return 0
        room = self.room(orders)
        passing = count if room is None else min(count, room)
        account = self.accounts[orders.agent]
        account.total += passing
        account.pods[uid] = account.pods.get(uid, 0) + passing
        account.is_changed = True
        if passing == room:
            self.on_spent(uid)
        return passing

    def report(self, *, now: float, is_whole: bool) -> list[dict[str, Any]]:
        """Return what is other than it was told, or all there is, in the JSON form that the control process takes."""
        told = []
        for agent, account in self.accounts.items():
            if account.total > account.counted:
                account.history.add(account.total - account.counted, now=now)
                account.counted = account.total
            if not account.is_changed and not is_whole:
                continue
            account.is_changed = False
            told.append(
                {
                    "agent": agent,
                    "total": account.total,
                    "open": account.open,
                    "refused": account.refused,
                    "cut": account.cut,
                    "pods": dict(account.pods),
                    "slots": account.history.take(is_whole=is_whole),
                }
            )
        return told

    def _make_room(self) -> None:
        if len(self.accounts) < MOST_AGENTS:
            return
        here = {each.agent for each in self._pods.values()}
        gone = next((agent for agent, account in self.accounts.items() if agent not in here and not account.open), None)
        if gone is not None:
            del self.accounts[gone]
