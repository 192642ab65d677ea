"""In which order the pods that agents can have are handed out: found without a look at all of them for each claim."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from ringfence_operator.reconcile.pool_index import FREE, Group, index_free
from ringfence_operator.reconcile.ports import Table
from ringfence_operator.resources.observed_pod import Pod

Key = tuple[str, str]
IsTaken = Callable[[Pod], bool]


class PoolOrder:
    """Remembers the order of each group. It is made anew when it is used up, or was forgotten.

    What it says is checked when it is used: a pod that is not free any more is passed over, and one that has come to be
    free since has its turn with the next order.
    """

    def __init__(self) -> None:
        self._orders: dict[Group, list[Key]] = {}

    def first(self, group: Group, warm: Table[Pod], is_taken: IsTaken) -> Pod | None:
        """Return the pod of the group that is the next one's."""
        free = warm.keys_by(FREE, group)
        for is_new in (False, True):
            if is_new:
                self._orders[group] = in_order(each for each in _pods(group, warm) if not is_taken(each))
            order = self._orders.get(group, [])
            while order:
                pod = warm.cache.get(order[-1]) if order[-1] in free else None
                if pod is not None and not is_taken(pod):
                    return pod
                order.pop()
        del self._orders[group]
        return None

    def forget(self, pool: Key | None = None) -> None:
        """Have the order of a pool's pods, or of all, made anew."""
        for group in [each for each in self._orders if pool is None or each[:2] == pool]:
            del self._orders[group]


class Free:
    """The pods of a pool that agents can have now, those included that are being handed out."""

    def __init__(self, groups: Iterable[Group], warm: Table[Pod], order: PoolOrder) -> None:
        self._groups = tuple(groups)
        self._warm = warm
        self._order = order

    def has(self, pod: Pod) -> bool:
        """Return True if the pod, as it is given, is one of them."""
        return any(group in self._groups for group in index_free(pod))

    def first(self, is_taken: IsTaken) -> Pod | None:
        """Return the pod that is the next one's."""
        found = (self._order.first(group, self._warm, is_taken) for group in self._groups)
        return next((pod for pod in found if pod is not None), None)

    def count(self, is_taken: IsTaken, at_most: int) -> int:
        """Return how many are not taken; counting ends at `at_most`."""
        pods = (pod for group in self._groups for pod in _pods(group, self._warm))
        return sum(1 for _ in islice((pod for pod in pods if not is_taken(pod)), at_most))

    def __len__(self) -> int:
        """Return how many there are, in no time."""
        return sum(len(self._warm.keys_by(FREE, group)) for group in self._groups)


def _pods(group: Group, warm: Table[Pod]) -> Iterator[Pod]:
    for key in warm.keys_by(FREE, group):
        yield warm.cache[key]


def in_order(pods: Iterable[Pod]) -> list[Key]:
    """Return the keys of `pods`, who is to be handed out first last: from the node with the most, its oldest."""
    by_node: dict[str, list[Pod]] = {}
    for pod in sorted(pods, key=lambda each: (each.created, each.meta.name)):
        by_node.setdefault(pod.node, []).append(pod)
    ranked = [
        (place - len(of_node), pod.created, pod.meta.name, (pod.meta.namespace, pod.meta.name))
        for of_node in by_node.values()
        for place, pod in enumerate(of_node)
    ]
    return [key for *_, key in sorted(ranked, reverse=True)]
