import asyncio

from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.kubelet_round import ask_nodes
from tests.operator.reconcile.fleet import Fleet
from tests.operator.resources.objects import node_body

SECONDS = 20
SILENT = 40
"""More than are asked at once."""


async def test_kubelets_that_do_not_answer_keep_nobody_waiting_who_does() -> None:
    fleet = Fleet()
    names = [*(f"a{number}" for number in range(SILENT)), "z"]
    for number, name in enumerate(names):
        address = {"type": "InternalIP", "address": f"10.0.0.{number}"}
        fleet.api.add("nodes", node_body(name, addresses=[address]))
    fleet.deliver()
    over, heard = asyncio.Event(), asyncio.Event()
    early: dict[str, object] = {}

    async def ask(address: str, _: int) -> str:
        if address != f"10.0.0.{SILENT}":
            await over.wait()
            raise UnavailableError("no answer")
        return "here"

    def take(answers: object) -> None:
        assert isinstance(answers, dict)
        early.update(answers)
        heard.set()

    asking = asyncio.create_task(ask_nodes(fleet.view, names, ask, on_early=take))
    async with asyncio.timeout(SECONDS):
        await heard.wait()
        before = dict(early)
        over.set()
        found = await asking

    assert before == {"z": "here"}
    assert len(found) == len(names)
    assert found["z"] == "here"
    assert isinstance(found["a0"], UnavailableError)


async def test_where_all_answer_at_once_nobody_is_told_early() -> None:
    fleet = Fleet()
    fleet.api.add("nodes", node_body("n", addresses=[{"type": "InternalIP", "address": "10.0.0.1"}]))
    fleet.api.add("nodes", node_body("new", addresses=[]))
    fleet.deliver()
    early: list[object] = []

    async def ask(address: str, port: int) -> str:
        return f"{address}:{port}"

    found = await ask_nodes(fleet.view, ["n", "new", "unknown"], ask, on_early=early.append)

    assert (found, early) == ({"n": "10.0.0.1:10250"}, [])
