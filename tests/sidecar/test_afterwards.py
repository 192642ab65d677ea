import asyncio
import functools
from typing import Any

from ringfence_sidecar.afterwards import Afterwards


async def test_work_is_done_in_its_order_and_not_before_who_brings_it_has_had_his_turn() -> None:
    done: list[int] = []
    afterwards = Afterwards()

    for number in range(3):
        afterwards.add(functools.partial(done.append, number))
    before = list(done)
    await asyncio.sleep(0)

    assert before == []
    assert done == [0, 1, 2]


async def test_what_is_finished_at_once_is_not_done_again() -> None:
    done: list[int] = []
    afterwards = Afterwards()
    afterwards.add(lambda: done.append(1))

    afterwards.finish()
    await asyncio.sleep(0)
    afterwards.add(lambda: done.append(2))
    await asyncio.sleep(0)

    assert done == [1, 2]


async def test_work_that_fails_keeps_nothing_else_from_being_done() -> None:
    done: list[int] = []
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    afterwards = Afterwards()

    afterwards.add(lambda: done.append(1))
    afterwards.add(lambda: done.remove(7))
    afterwards.add(lambda: done.append(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert done == [1, 2]
    assert isinstance(failures[0]["exception"], ValueError)
