"""A round of questions to kubelets: each of the nodes is asked once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.view import View

_AT_ONCE = 16
_PATIENCE_SECONDS = 0.2
"""A kubelet that takes longer keeps nobody else waiting; few do, save those that do not answer at all."""
_EARLY_SECONDS = 0.5

T = TypeVar("T")


async def ask_nodes(
    view: View,
    nodes: Iterable[str],
    ask: Callable[[str, int], Awaitable[T]],
    *,
    on_early: Callable[[dict[str, T | UnavailableError]], None] = lambda _: None,
) -> dict[str, T | UnavailableError]:
    """Return what each node's kubelet says to `ask`, which takes its address and port; or why it says nothing.

    A node of which no address is known is left out. `on_early` hears, within half a second, those that have answered
    while others have not.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(address: str, port: int) -> T | UnavailableError:
        async with gate:
            asking = tasks.create_task(_answer(ask(address, port)))
            await asyncio.wait({asking}, timeout=_PATIENCE_SECONDS)
        return await asking

    found = ((name, view.nodes.get("", name)) for name in sorted(nodes))
    known = [(name, node.addresses[0], node.kubelet_port) for name, node in found if node and node.addresses]
    answers: dict[str, T | UnavailableError] = {}
    async with asyncio.TaskGroup() as tasks:
        pending = {tasks.create_task(one(address, port)): name for name, address, port in known}
        while pending:
            done, _ = await asyncio.wait(pending, timeout=_EARLY_SECONDS)
            early = {pending.pop(each): each.result() for each in done}
            answers |= early
            if early and pending:
                on_early(early)
    return answers


async def _answer(question: Awaitable[T]) -> T | UnavailableError:
    try:
        return await question
    except UnavailableError as error:
        return error
