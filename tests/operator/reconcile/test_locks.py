import asyncio

from ringfence_operator.reconcile.locks import Locks


async def test_one_key_is_held_by_one_at_a_time_and_another_key_does_not_wait() -> None:
    locks, log = Locks(), []
    release = asyncio.Event()

    async def hold(key: str, name: str) -> None:
        async with locks.held(key):
            log.append(f"{name} in")
            if key == "x":
                await release.wait()
            log.append(f"{name} out")

    tasks = [asyncio.create_task(hold(key, name)) for key, name in (("x", "1"), ("x", "2"), ("y", "3"))]
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = list(log)
    release.set()
    await asyncio.gather(*tasks)

    assert waiting == ["1 in", "3 in", "3 out"]
    assert log == [*waiting, "1 out", "2 in", "2 out"]


async def test_nothing_is_left_of_a_lock_that_nobody_holds() -> None:
    locks = Locks()

    async with locks.held("x"):
        held = len(locks._locks)

    assert (held, len(locks._locks)) == (1, 0)


async def test_a_lock_is_free_after_an_error_or_a_cancellation() -> None:
    locks = Locks()

    async def fail() -> None:
        async with locks.held("x"):
            raise RuntimeError

    async def stay() -> None:
        async with locks.held("x"):
            await asyncio.Event().wait()

    holder = asyncio.create_task(stay())
    await asyncio.sleep(0)
    waiter = asyncio.create_task(fail())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)

    async with asyncio.timeout(1), locks.held("x"):
        pass
    assert locks._locks == {}
