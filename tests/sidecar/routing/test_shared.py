import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.connectors.base import Connector
from ringfence_sidecar.errors import BackendLostError
from ringfence_sidecar.routing.kinds import make
from ringfence_sidecar.routing.session import Held
from ringfence_sidecar.routing.shared import Shared
from tests.sidecar.plugin.bed import connector, endpoint
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


class Bed:
    def __init__(self) -> None:
        self.server = Server()
        at = endpoint(self.server)
        self.connector: Connector[object] = make(connector(at, kind="kv-shared"))
        self.shared: Shared[object] = Shared(self.connector, at)

    async def take(self, seconds: float = 5.0) -> Held[object]:
        return await self.shared.acquire(Deadline.after(seconds))


@contextlib.asynccontextmanager
async def shared() -> AsyncIterator[Bed]:
    bed = Bed()
    async with running(bed.server):
        yield bed
        await bed.shared.close()
        await bed.server.until(lambda: bed.server.sessions == 0)


async def test_all_who_ask_at_once_have_one_session_that_is_opened_once() -> None:
    async with shared() as bed:
        everyone = await asyncio.gather(*(bed.take() for _ in range(20)))

        assert {id(held) for held in everyone} == {id(everyone[0])}
        assert bed.server.opened == 1
        assert bed.shared.count() == (20, 0)
        for held in everyone:
            bed.shared.release(held, broken=False)


async def test_one_who_goes_away_does_not_take_the_connection_from_the_others() -> None:
    async with shared() as bed:
        hasty, patient = asyncio.create_task(bed.take()), asyncio.create_task(bed.take())
        await asyncio.sleep(0)
        hasty.cancel()

        held = await patient

        assert bed.server.opened == 1
        bed.shared.release(held, broken=False)


async def test_doubt_about_a_session_that_answers_leaves_it_to_the_others() -> None:
    async with shared() as bed:
        held = await bed.take()
        bed.shared.release(held, broken=True)
        await bed.server.until(lambda: bed.server.pings == 1)
        again = await bed.take()

        assert again is held
        bed.shared.release(again, broken=False)


async def test_a_session_that_is_lost_is_replaced() -> None:
    async with shared() as bed:
        held = await bed.take()
        bed.shared.release(held, broken=False)
        await bed.server.kill()
        await bed.server.start()
        again = await bed.take()

        assert again is not held
        bed.shared.release(again, broken=False)


async def test_after_new_credentials_the_session_of_before_ends_its_calls_first() -> None:
    async with shared() as bed:
        old = await bed.take()
        bed.shared.renew()
        new = await bed.take()

        assert new is not old
        assert bed.server.sessions == 2
        bed.shared.release(old, broken=False)
        await bed.server.until(lambda: bed.server.sessions == 1)
        bed.shared.release(new, broken=False)


async def test_a_session_on_which_something_lives_is_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = {"one"}
    async with shared() as bed:
        monkeypatch.setattr(bed.connector, "is_busy", lambda _: bool(leases))
        old = await bed.take()
        bed.shared.release(old, broken=False)
        bed.shared.renew()
        with pytest.raises(TimeoutError):
            await bed.server.until(lambda: bed.server.sessions == 0, seconds=0.7)
        leases.clear()

        await bed.server.until(lambda: bed.server.sessions == 0)


async def test_an_endpoint_that_is_not_there_is_lost_for_all_who_wait() -> None:
    bed = Bed()

    results = await asyncio.gather(*(bed.take() for _ in range(5)), return_exceptions=True)

    assert {type(result) for result in results} == {BackendLostError}


async def test_an_endpoint_that_does_not_answer_is_lost_in_time_for_another_try() -> None:
    async with shared() as bed:
        bed.server.is_deaf = True
        deadline = Deadline.after(2.0)

        with pytest.raises(BackendLostError):
            await bed.shared.acquire(deadline)

        assert deadline.remaining > 0.2
