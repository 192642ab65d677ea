from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.direct_watch import DirectWatch
from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.view import View
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import NOW, node_body, pod_body


class Kubelets:
    def __init__(self, moved: dict[str, int] | None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._moved = moved

    async def network(self, address: str, port: int) -> dict[str, int]:
        self.asked.append((address, port))
        if self._moved is None:
            raise UnavailableError("no answer")
        return self._moved


class Book:
    """Who wants to know of one pod."""

    def __init__(self, *pods: str) -> None:
        self._pods = pods
        self.told: list[tuple[str, int | None]] = []

    def direct(self) -> dict[str, Metered]:
        usual = {"agent_uid": "a", "agent": ("team", "a"), "address": "10.0.0.1", "limits": (), "created": NOW}
        usual["replicas"] = ()
        return {pod: Metered(pod_uid=pod, **usual) for pod in self._pods}  # type: ignore[arg-type]

    def measured(self, pod_uid: str, count: int | None) -> None:
        self.told.append((pod_uid, count))


def view() -> View:
    nodes = [
        node_body(name, addresses=[{"type": "InternalIP", "address": f"192.0.2.{name[1]}"}]) for name in ("n1", "n2")
    ]
    return view_of(pods=[pod_body(node="n1")], nodes=nodes)


async def test_the_node_of_such_a_pod_is_asked_and_no_other() -> None:
    kubelets, book = Kubelets({"pod-1": 7, "pod-9": 5}), Book("pod-1")

    await DirectWatch(view(), kubelets, book).look()

    assert kubelets.asked == [("192.0.2.1", 10_250)]
    assert book.told == [("pod-1", 7)]


async def test_nobody_is_asked_without_such_pods() -> None:
    kubelets = Kubelets({})

    await DirectWatch(view(), kubelets, Book("another pod of the name")).look()

    assert kubelets.asked == []


async def test_a_kubelet_that_is_silent_is_said_to_be_and_asked_again_the_next_time() -> None:
    kubelets, book = Kubelets(None), Book("pod-1")
    watch = DirectWatch(view(), kubelets, book)

    await watch.look()
    await watch.look()

    assert len(kubelets.asked) == 2
    assert book.told == [("pod-1", None)] * 2
