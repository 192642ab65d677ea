import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.errors import BackendError, BackendLostError, DeadlineError, UnavailableError
from ringfence_sidecar.routing.kinds import make
from ringfence_sidecar.routing.pool import DOUBTFUL_AFTER_SECONDS, Pool
from ringfence_sidecar.routing.session import Held
from tests.sidecar.plugin.bed import connector, endpoint
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


class Bed:
    def __init__(self, size: int) -> None:
        self.server = Server()
        self.now = time.monotonic()
        at = endpoint(self.server)
        self.pool: Pool[object] = Pool(make(connector(at)), at, size=size, clock=lambda: self.now)

    async def take(self, seconds: float = 5.0) -> Held[object]:
        return await self.pool.acquire(Deadline.after(seconds))


@contextlib.asynccontextmanager
async def pool_of(size: int) -> AsyncIterator[Bed]:
    bed = Bed(size)
    async with running(bed.server):
        yield bed
        await bed.pool.close()
        await bed.server.until(lambda: bed.server.sessions == 0)


async def test_a_session_that_was_given_back_is_given_out_again() -> None:
    async with pool_of(2) as bed:
        first = await bed.take()
        bed.pool.release(first, broken=False)
        second = await bed.take()

        assert second is first
        assert bed.server.opened == 1
        bed.pool.release(second, broken=False)


async def test_there_are_never_more_sessions_than_the_pools_size() -> None:
    async with pool_of(2) as bed:

        async def use() -> None:
            held = await bed.take()
            await asyncio.sleep(0)
            bed.pool.release(held, broken=False)

        await asyncio.gather(*(use() for _ in range(20)))

        assert bed.server.opened == 2
        assert bed.pool.count() == (0, 2)


async def test_who_waits_for_a_session_is_served_in_order() -> None:
    served: list[int] = []
    async with pool_of(1) as bed:
        held = await bed.take()

        async def use(number: int) -> None:
            mine = await bed.take()
            served.append(number)
            bed.pool.release(mine, broken=False)

        tasks = [asyncio.create_task(use(number)) for number in range(5)]
        await asyncio.sleep(0)
        bed.pool.release(held, broken=False)
        await asyncio.gather(*tasks)

    assert served == [0, 1, 2, 3, 4]


async def test_waiting_ends_at_the_deadline_and_takes_nobody_elses_turn() -> None:
    async with pool_of(1) as bed:
        held = await bed.take()
        with pytest.raises(DeadlineError):
            await bed.take(0.01)

        patient = asyncio.create_task(bed.take())
        await asyncio.sleep(0)
        bed.pool.release(held, broken=False)

        assert await patient is held
        bed.pool.release(held, broken=False)
        assert bed.pool.count() == (0, 1)


async def test_who_gives_up_waiting_just_as_a_session_comes_passes_it_on() -> None:
    async with pool_of(1) as bed:
        held = await bed.take()
        hasty, patient = asyncio.create_task(bed.take()), asyncio.create_task(bed.take())
        await asyncio.sleep(0)

        bed.pool.release(held, broken=False)
        hasty.cancel()

        assert await patient is held
        await asyncio.wait([hasty], timeout=1)
        assert hasty.cancelled()
        bed.pool.release(held, broken=False)
        assert bed.pool.count() == (0, 1)


async def test_a_broken_session_is_closed_and_never_given_out_again() -> None:
    async with pool_of(1) as bed:
        first = await bed.take()
        bed.pool.release(first, broken=True)
        second = await bed.take()

        assert second is not first
        await bed.server.until(lambda: bed.server.sessions == 1)
        bed.pool.release(second, broken=False)


async def test_a_session_that_broke_while_it_was_idle_is_replaced() -> None:
    async with pool_of(1) as bed:
        first = await bed.take()
        bed.pool.release(first, broken=False)
        await bed.server.kill()
        await bed.server.start()
        second = await bed.take()

        assert second is not first
        bed.pool.release(second, broken=False)


async def test_a_session_that_was_idle_for_long_is_checked_before_it_is_given_out() -> None:
    async with pool_of(1) as bed:
        first = await bed.take()
        bed.pool.release(first, broken=False)
        await bed.take()
        unchecked = bed.server.pings
        bed.pool.release(first, broken=False)
        bed.now += DOUBTFUL_AFTER_SECONDS + 1
        held = await bed.take()

        assert (unchecked, bed.server.pings) == (0, 1)
        bed.pool.release(held, broken=False)


async def test_what_is_not_needed_for_long_is_closed_save_one() -> None:
    async with pool_of(3) as bed:
        for held in [await bed.take() for _ in range(3)]:
            bed.pool.release(held, broken=False)
        bed.now += 1000

        bed.pool.sweep(300)

        await bed.server.until(lambda: bed.server.sessions == 1)


async def test_a_refused_login_takes_no_place_in_the_pool() -> None:
    async with pool_of(1) as bed:
        bed.server.password = "other"
        with pytest.raises(BackendError):
            await bed.take()
        bed.server.password = "-"
        held = await bed.take()

        assert bed.pool.count() == (1, 0)
        bed.pool.release(held, broken=False)


async def test_an_endpoint_that_is_not_there_is_lost_before_anything_was_sent() -> None:
    bed = Bed(1)

    with pytest.raises(BackendLostError) as raised:
        await bed.take()

    assert not raised.value.outcome_unknown
    assert bed.pool.count() == (0, 0)


async def test_after_new_credentials_no_session_of_before_is_given_out() -> None:
    async with pool_of(2) as bed:
        idle, busy = await bed.take(), await bed.take()
        bed.pool.release(idle, broken=False)
        bed.pool.renew()
        bed.pool.release(busy, broken=False)
        fresh = await bed.take()

        assert fresh is not idle
        assert fresh is not busy
        await bed.server.until(lambda: bed.server.sessions == 1)
        bed.pool.release(fresh, broken=False)


async def test_a_session_of_the_credentials_of_before_is_closed_as_it_comes_back() -> None:
    async with pool_of(2) as bed:
        busy = await bed.take()
        bed.pool.renew()

        bed.pool.release(busy, broken=False)

        await bed.server.until(lambda: bed.server.sessions == 0)


async def test_a_pool_that_closes_sends_away_who_waits() -> None:
    async with pool_of(1) as bed:
        held = await bed.take()
        waiter = asyncio.create_task(bed.take())
        await asyncio.sleep(0)

        await bed.pool.close()

        with pytest.raises(UnavailableError):
            await waiter
        bed.pool.release(held, broken=False)
