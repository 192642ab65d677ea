"""Pods that share limits, each as a sidecar counts in its process."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Agent, Limit, Redis
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quota import Ask, Reservation
from ringfence_sidecar.quotas.away import StoreAwayError, Times
from ringfence_sidecar.quotas.quota import Quotas
from tests.backends.waiting import eventually

QUICK = Times(patience=3.0, lease=1.5, beat=0.3)
"""A lease that a test can wait for, and the patience of who shares the machine with other tests."""


def limit(resource: str = "queries", most: float = 10, **fields: Any) -> Limit:
    """Return a limit of a day that all agents have together."""
    made = {"quota": "team", "quota_uid": "uid-team", "resource": resource, "max": most, "window": "Day"}
    return Limit(**{**made, "shared": True, "on_store_unavailable": "Deny", **fields})


def ask(seconds: float = 5, *, writes: bool = False, **amounts: float) -> Ask:
    """Return what a call asks that has so long."""
    return Ask(amounts=amounts, writes=writes, deadline=Deadline.after(seconds))


class Pods:
    """Makes one after another; all are closed at the end."""

    def __init__(self) -> None:
        self._made: list[Quotas] = []

    async def pod(
        self, redis: Redis | None, *limits: Limit, agent: str = "a", times: Times = QUICK, joins: bool = True
    ) -> Quotas:
        """Return a pod of the agent, once it can count."""
        pod = Quotas(times)
        self._made.append(pod)
        await pod.apply(limits, Agent(namespace="team-a", name=agent, uid=f"uid-{agent}"), redis)
        if redis is not None and joins:
            await ready(pod)
        return pod

    async def close(self) -> None:
        """End them all."""
        for each in self._made:
            await each.close()


async def alone(*limits: Limit) -> Quotas:
    """Return a pod of the agent `a` that counts without a store: it needs no closing."""
    pod = Quotas()
    await pod.apply(limits, Agent(namespace="team-a", name="a", uid="uid-a"), None)
    return pod


async def ready(pod: Quotas) -> None:
    """Wait until the pod counts with others."""
    await eventually(lambda: not pod.trouble, what="the store can be counted on", seconds=30)


async def use(pod: Quotas, **amounts: float) -> Reservation:
    """Make a call that uses what it asks."""
    reservation = await pod.reserve(Ask(amounts=amounts, writes=False, deadline=Deadline.after(5)))
    await reservation.settle(amounts)
    return reservation


async def refused(pod: Quotas, *, writes: bool = False, seconds: float = 5, **amounts: float) -> LimitedError:
    """Return the error of a call that has to be refused."""
    try:
        await pod.reserve(ask(seconds, writes=writes, **amounts))
    except LimitedError as error:
        return error
    raise AssertionError(f"granted: {amounts}")


async def used(pod: Quotas) -> Mapping[str, float]:
    """Return what the store says is used, by resource. Raises StoreAwayError."""
    store = pod._store
    assert store is not None
    await store.flush(pod._all())
    return {budget.resource: budget.used for budget in pod.known()}


def crash(pod: Quotas) -> None:
    """End the pod as a process ends that is killed: it says nothing."""
    store, pod._store = pod._store, None
    assert store is not None
    store.link._keeping.cancel()
    store.link._drop()


def changed(of: Limit, **fields: Any) -> Limit:
    """Return the limit with other fields."""
    return msgspec.structs.replace(of, **fields)


__all__ = ["Pods", "StoreAwayError", "alone", "ask", "changed", "crash", "limit", "ready", "refused", "use", "used"]
