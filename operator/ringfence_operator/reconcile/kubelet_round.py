"""A round of questions to kubelets: each of the nodes is asked once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.view import View

_AT_ONCE = 16

T = TypeVar("T")


async def ask_nodes(
    view: View, nodes: Iterable[str], ask: Callable[[str, int], Awaitable[T]]
) -> dict[str, T | UnavailableError]:
    """Return what each node's kubelet says to `ask`, which takes its address and port; or why it says nothing.

    A node of which no address is known is left out.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str, address: str, port: int) -> tuple[str, T | UnavailableError]:
        async with gate:
            try:
                return name, await ask(address, port)
            except UnavailableError as error:
                return name, error

    found = ((name, view.nodes.get("", name)) for name in sorted(nodes))
    questions = [one(name, node.addresses[0], node.kubelet_port) for name, node in found if node and node.addresses]
    return dict(await asyncio.gather(*questions))
