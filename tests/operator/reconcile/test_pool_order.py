"""The kept order never hands out what is not free, and always finds what is."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator import labels
from ringfence_operator.reconcile.pool_index import index_free
from ringfence_operator.reconcile.pool_order import Free, PoolOrder, in_order
from ringfence_operator.resources.observed_pod import Pod, observe_pod

GROUP = ("team", "p", "pool-uid", "h")
NAMES = st.sampled_from([f"p{number}" for number in range(8)])
STEPS = st.lists(st.tuples(st.sampled_from(["ready", "unready", "gone", "taken", "released", "pick", "look"]), NAMES))


def make_pod(name: str, node: str = "n1") -> Pod:
    meta = {
        "name": name,
        "namespace": "team",
        "uid": f"{name}-uid",
        "resourceVersion": "1",
        "creationTimestamp": f"2026-11-23T12:00:0{name[-1]}Z",
        "labels": {labels.POOL: "p", labels.CONFINED: "true", labels.STARTER: "true"},
        "annotations": {labels.TEMPLATE_HASH: "h"},
        "ownerReferences": [{"uid": "pool-uid", "controller": True, "kind": "AgentPool", "name": "p"}],
    }
    ready = [{"type": "Ready", "status": "True"}]
    return observe_pod({"metadata": meta, "spec": {"nodeName": node}, "status": {"conditions": ready}})


class FakeTable:
    """Pods by key, and those that are free."""

    def __init__(self) -> None:
        self.cache: dict[Any, Pod] = {}

    def get(self, namespace: str, name: str) -> Pod | None:
        return self.cache.get((namespace, name))

    def keys_by(self, index: str, value: Hashable) -> set[tuple[str, str]]:
        return {key for key, pod in self.cache.items() if index == "free" and value in [*index_free(pod)]}

    def beside(self, namespace: str, name: str) -> tuple[Pod, ...]:
        raise NotImplementedError

    def show(self, namespace: str, name: str, uid: str) -> None:
        raise NotImplementedError

    def store(self, raw: dict[str, Any], *, wakes: bool = True) -> None:
        raise NotImplementedError


@given(STEPS)
def test_whatever_becomes_of_pods_a_free_one_is_found_if_there_is_one(steps: list[tuple[str, str]]) -> None:
    table, order, taken = FakeTable(), PoolOrder(), set[str]()
    free = Free([GROUP], table, order)
    for what, name in steps:
        key = ("team", name)
        match what:
            case "ready":
                table.cache[key] = make_pod(name)
            case "unready" if key in table.cache:
                table.cache[key] = replace(table.cache[key], ready=False)
            case "gone":
                table.cache.pop(key, None)
            case "taken":
                taken.add(name)
            case "released":
                taken.discard(name)
            case "look":
                order.forget(("team", "p"))
        there = {name for (_, name), pod in table.cache.items() if pod.ready} - taken

        found = free.first(lambda pod: pod.meta.name in taken)

        assert (found.meta.name in there) if found else not there
        assert free.count(lambda pod: pod.meta.name in taken, 3) == min(3, len(there))
        if what == "pick" and found:
            taken.add(found.meta.name)


def test_pods_come_from_the_fullest_node_and_the_oldest_first() -> None:
    pods = [make_pod("p1", "a"), make_pod("p2", "b"), make_pod("p3", "b"), make_pod("p4", "b"), make_pod("p5", "a")]

    names = [name for _, name in reversed(in_order(pods))]

    assert names == ["p2", "p1", "p3", "p4", "p5"]
