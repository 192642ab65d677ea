"""connectorConnections: held from before the log-in to the end of the session."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import HealthCheck
from ringfence_sidecar.errors import BackendLostError, LimitedError, Status
from ringfence_sidecar.holding import Holding
from ringfence_sidecar.routing.kinds import make
from ringfence_sidecar.routing.pool import Pool
from ringfence_sidecar.routing.session import Held
from tests.backends.waiting import eventually
from tests.sidecar.counters import Counters, budget
from tests.sidecar.plugin.bed import AGENT, call, connector, endpoint, serving, warm
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.quotas.pods import alone, limit


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


class Bed:
    def __init__(self, most: int) -> None:
        self.server = Server()
        self.quota = Counters(budget("connectorConnections", most))
        at = endpoint(self.server)
        made = make(connector(at))
        made.holding = Holding(self.quota)
        self.pool: Pool[object] = Pool(made, at, size=4)

    @property
    def held(self) -> float:
        return self.quota.used["connectorConnections"]

    async def take(self, seconds: float = 5.0) -> Held[object]:
        return await self.pool.acquire(Deadline.after(seconds))


@contextlib.asynccontextmanager
async def pool_of(most: int) -> AsyncIterator[Bed]:
    bed = Bed(most)
    async with running(bed.server):
        yield bed
        await bed.pool.close()
        await eventually(lambda: bed.held == 0, what="every connection is given back")


async def test_a_session_is_held_while_it_lasts_idle_or_not() -> None:
    async with pool_of(2) as bed:
        first = await bed.take()
        bed.pool.release(first, broken=False)

        assert bed.held == 1

        second = await bed.take()
        bed.pool.release(second, broken=True)
        await eventually(lambda: bed.held == 0, what="the closed one is given back")


async def test_who_is_left_no_connection_gets_the_session_of_another() -> None:
    async with pool_of(1) as bed:
        first = await bed.take()
        waiting = asyncio.create_task(bed.take())
        await eventually(lambda: len(bed.pool._short) == 1, what="the second waits")
        bed.pool.release(first, broken=False)
        second = await waiting

        assert second is first
        assert bed.server.opened == 1
        bed.pool.release(second, broken=False)


async def test_who_is_left_no_connection_opens_one_when_anothers_session_broke() -> None:
    async with pool_of(1) as bed:
        first = await bed.take()
        waiting = asyncio.create_task(bed.take())
        await eventually(lambda: len(bed.pool._short) == 1, what="the second waits")
        bed.pool.release(first, broken=True)
        second = await waiting

        assert second is not first
        assert bed.held == 1
        bed.pool.release(second, broken=False)


async def test_who_is_left_no_connection_is_refused_if_no_session_can_come_back_or_none_does_in_time() -> None:
    async with pool_of(1) as bed:
        bed.quota.used["connectorConnections"] = 1
        with pytest.raises(LimitedError):
            await bed.take()
        bed.quota.used["connectorConnections"] = 0
        first = await bed.take()
        with pytest.raises(LimitedError):
            await bed.take(0.02)
        bed.pool.release(first, broken=False)

        assert bed.pool.count() == (0, 1)


async def test_a_login_that_fails_gives_its_connection_back() -> None:
    async with pool_of(1) as bed:
        await bed.server.kill()
        with pytest.raises(BackendLostError):
            await bed.take()

        await eventually(lambda: bed.held == 0, what="it is given back")


async def test_a_call_without_a_connection_is_refused_costs_nothing_and_says_nothing_of_the_endpoint() -> None:
    server = Server()
    quota = Counters(budget("connectorConnections", 1), budget("apiCalls", 9), budget("queries", 9))
    quota.used["connectorConnections"] = 1
    often = HealthCheck(interval_seconds=0.01, timeout_seconds=2)

    async with running(server), serving(connector(endpoint(server), health_check=often), quota=quota) as (pipeline, _):
        refused = await pipeline.run(call("get", {"key": "colour"}))
        health = pipeline.health()
        quota.used["connectorConnections"] = 0
        served = await pipeline.run(call("get", {"key": "colour"}))

    assert (refused.status, served.status) == (Status.LIMITED, Status.OK)
    assert refused.errors[0].resource == "connectorConnections"
    # The endpoint's own checks were left none either, which refuses nobody.
    assert quota.refusals == ["connectorConnections"]
    assert [each.healthy for each in health] == [True]
    assert (quota.used["apiCalls"], quota.used["queries"]) == (1, 1)


async def test_who_waits_for_anothers_session_and_is_served_was_not_refused() -> None:
    server = Server()
    quota = await alone(limit("connectorConnections", 1, window="None", shared=False))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        server.may_answer.clear()
        both = [asyncio.create_task(pipeline.run(call("get", {"key": key}))) for key in ("colour", "shape")]
        pool = pipeline._registry.bound["store"].routes[0].sessions
        assert isinstance(pool, Pool)
        await eventually(lambda: server.at_work == 1 and len(pool._short) == 1, what="the second waits")
        server.may_answer.set()
        served = await asyncio.gather(*both)
        metrics = pipeline.metrics.registry.get_sample_value(
            "ringfence_sidecar_quota_refused_total",
            {"quota": "team", "resource": "connectorConnections", "enforcement": "Hard"},
        )

    assert [each.status for each in served] == [Status.OK, Status.OK]
    assert ([each.refusals for each in quota.uses()], metrics) == ([0], None)


async def test_a_limit_that_only_warns_lets_sessions_be_opened_and_says_so_in_a_call() -> None:
    server = Server()
    quota = Counters(budget("connectorConnections", 1, enforcement="Warn"))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        await warm(pipeline)
        quiet = await pipeline.run(call("get", {"key": "colour"}))
        server.may_answer.clear()
        both = [asyncio.create_task(pipeline.run(call("get", {"key": key}))) for key in ("colour", "shape")]
        await server.until(lambda: server.at_work == 2)
        server.may_answer.set()
        warned = [each for envelope in await asyncio.gather(*both) for each in envelope.warnings]

    assert quiet.warnings == ()
    assert [(each.code, each.resource) for each in warned] == [("QuotaWarning", "connectorConnections")]


async def test_a_session_gives_back_what_it_was_opened_under_and_no_place_of_another() -> None:
    wide, strict = (
        limit("connectorConnections", most, window="None", shared=False, quota=name, quota_uid=name)
        for name, most in (("wide", 9), ("strict", 1))
    )
    server = Server()
    quota = await alone(wide)
    at = endpoint(server)
    made = make(connector(at))
    made.holding = Holding(quota)
    pool: Pool[object] = Pool(made, at, size=4)

    async with running(server):
        first = await pool.acquire(Deadline.after(5))
        await quota.apply([wide, strict], AGENT, None)
        second = await pool.acquire(Deadline.after(5))
        pool.release(first, broken=True)
        await eventually(lambda: quota.known()[0].used == 1, what="the first one is given back")
        with pytest.raises(LimitedError, match="quota strict"):
            await pool.acquire(Deadline.after(0.3))
        pool.release(second, broken=True)
        await eventually(lambda: [each.used for each in quota.known()] == [0, 0], what="both are given back")
        await pool.close()
