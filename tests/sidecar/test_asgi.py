import asyncio
from collections.abc import Callable

import pytest

from ringfence_sidecar.asgi import ClientGoneError, Message, Request, WorkCancelledError

SECONDS = 10.0


class Client:
    """Has sent its request, and goes away when told to."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self.request = Request({"method": "POST", "path": "/", "headers": []}, self._receive)

    async def _receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


class Work:
    """Goes on until it is cancelled."""

    def __init__(self, at_its_end: Exception | None = None) -> None:
        self.begun = asyncio.Event()
        self.is_cancelled = False
        self._at_its_end = at_its_end

    async def do(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            if self._at_its_end is not None:
                raise self._at_its_end from None
            raise


async def _value() -> str:
    return "done"


async def _failure() -> str:
    raise ValueError("no")


async def test_what_work_returns_or_raises_comes_back_and_nothing_is_left_of_the_watch() -> None:
    client = Client()

    found = await client.request.while_connected(_value())
    with pytest.raises(ValueError, match="no"):
        await client.request.while_connected(_failure())
    await asyncio.sleep(0)

    assert found == "done"
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("at_its_end", [None, ValueError("half done")])
async def test_a_client_that_leaves_cancels_the_work_and_the_task_can_go_on(at_its_end: Exception | None) -> None:
    client, work = Client(), Work(at_its_end)
    asyncio.get_running_loop().call_later(0, client.leaves.set)

    with pytest.raises(ClientGoneError):
        await asyncio.wait_for(client.request.while_connected(work.do()), SECONDS)
    task = asyncio.current_task()

    assert work.is_cancelled
    assert task is not None
    assert task.cancelling() == 0


async def test_others_may_cancel_the_work_and_once_it_is_over_they_cancel_nothing() -> None:
    client, work = Client(), Work()
    cancels: list[Callable[[], None]] = []

    def begun(cancel: Callable[[], None]) -> None:
        cancels.append(cancel)
        asyncio.get_running_loop().call_later(0, cancel)

    with pytest.raises(WorkCancelledError):
        await asyncio.wait_for(client.request.while_connected(work.do(), begun), SECONDS)
    found = await client.request.while_connected(_value(), cancels.append)
    for cancel in cancels:
        cancel()
    await asyncio.sleep(0)

    assert work.is_cancelled
    assert found == "done"


async def test_who_stops_the_server_cancels_a_request_whose_client_leaves_at_the_same_time() -> None:
    client, work = Client(), Work()
    task = asyncio.create_task(client.request.while_connected(work.do()))
    await asyncio.wait_for(work.begun.wait(), SECONDS)

    client.leaves.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=SECONDS)

    assert task.cancelled()
