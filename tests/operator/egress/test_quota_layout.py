"""Both ends of the counters: what sidecars count, by the rights that the operator gives them, and what it reads."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from ringfence_operator.api.quota import Quota
from ringfence_operator.egress.derived import Derived
from ringfence_operator.egress.quota_store import QuotaStore
from ringfence_operator.egress.redis_place import RedisPlace
from ringfence_operator.egress.redis_users import RedisUsers
from ringfence_operator.reconcile.quota_use import Use
from ringfence_operator.resources.sidecar_limits import build_limits
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.configuration import Agent, Limit, Redis
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas.quota import Quotas
from ringfence_sidecar.quotas.store import Times
from tests.backends.redis_server import ADMINISTRATOR, RedisServer, running_redis
from tests.backends.waiting import eventually
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import agent_body, quota_body
from tests.sidecar.quotas.pods import ask, crash, use

pytestmark = pytest.mark.backend
Raw = dict[str, Any]
SHARED: Raw = {"resource": "queries", "max": 10, "window": "Hour", "scope": "Shared"}
OWN: Raw = {"resource": "rows", "max": 100, "window": "Day", "alignment": "Calendar"}
CACHE: Raw = {"resource": "cacheBytes", "max": 100}
HELD: Raw = {"resource": "concurrentCalls", "max": 3, "scope": "Shared"}
TIMES = Times(patience=3.0, lease=1.5, beat=0.3)
PODS_KEY, EPOCH_KEY = "rf:{team}:quota:pods", "rf:{team}:quota:epoch"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, "appendonly yes", "appendfsync always") as found:
        yield found


class Ends:
    """An operator that makes users and reads, and the sidecars of agents `x` and `y`."""

    def __init__(self, store: QuotaStore, quota: Quota) -> None:
        self._store = store
        self.quota = quota
        self.pods: dict[str, Quotas] = {}

    def read(self, limit: str) -> Use:
        return self._store.uses(self.quota)[limit]

    async def until_read(self, limit: str, used: float) -> Use:
        await eventually(lambda: self.read(limit).used == used, what=f"{used} of {limit} are read")
        return self.read(limit)


def long_ago(server: RedisServer, *pods: str) -> None:
    """Let the last words of pods, of all if none is named, have been said long ago."""
    with server.client() as client:
        client.zadd(PODS_KEY, dict.fromkeys(pods or client.zrange(PODS_KEY, 0, -1), 1), xx=True)


def looks(client: "redis.Redis") -> int:
    found: Any = client.info("commandstats")
    return int(found.get("cmdstat_eval", {"calls": 0})["calls"])


@asynccontextmanager
async def both_ends(server: RedisServer, folder: Path, *limits: Raw) -> AsyncIterator[Ends]:
    body = quota_body("q", *limits, selector={})
    view = view_of(agents=[agent_body(name) for name in ("x", "y")], quotas=[body])
    file = folder / "administrator"
    file.write_text(f"{ADMINISTRATOR}\n")
    place, derived = RedisPlace(url=server.url, administrator=file), Derived()
    derived.know("s" * 64)
    users = RedisUsers(place, derived.redis)
    told = users.configuration("team")
    store = QuotaStore(view, place, on_use=lambda _: None, clock=time.time, look_seconds=0.02)
    running = [asyncio.create_task(each) for each in (users.run(), store.run())]
    quota = Quota.from_body(body)
    ends = Ends(store, quota)
    try:
        for name in ("x", "y"):
            pod = ends.pods[name] = Quotas(TIMES)
            wired = msgspec.convert(build_limits([(quota, 2)]), tuple[Limit, ...])
            agent = Agent(namespace="team", name=name, uid=f"{name}-uid")
            await pod.apply(wired, agent, msgspec.convert(told, Redis))
        for pod in ends.pods.values():
            await eventually(lambda pod=pod: not pod.trouble, what="the sidecar counts", seconds=30)  # type: ignore[misc]
        yield ends
    finally:
        for pod in ends.pods.values():
            await pod.close()
        for each in running:
            each.cancel()
        await asyncio.wait(running, timeout=5)


async def test_what_sidecars_use_together_is_read_with_who_used_it(server: RedisServer, tmp_path: Path) -> None:
    async with both_ends(server, tmp_path, SHARED) as ends:
        for name, amount in (("x", 3), ("y", 2), ("y", 2)):
            await use(ends.pods[name], queries=amount)
        found = await ends.until_read("queries/Hour/Shared", 7.0)
        used = {"x": 3.0, "y": 4.0}
        await eventually(lambda: ends.read("queries/Hour/Shared").per_agent == used, what="who used it is read")

    assert found.resets_at is not None
    assert 0 < found.resets_at.timestamp() - time.time() <= 3_780
    assert found.trouble is None


async def test_a_refusal_is_read_with_whom_it_met(server: RedisServer, tmp_path: Path) -> None:
    async with both_ends(server, tmp_path, SHARED) as ends:
        await use(ends.pods["x"], queries=10)
        with pytest.raises(LimitedError):
            await ends.pods["y"].reserve(ask(queries=1))
        await eventually(lambda: ends.read("queries/Hour/Shared").refusals == 1, what="the refusal is read")
        found = ends.read("queries/Hour/Shared")

    assert found.refused_agent == "y"
    assert found.refused_at is not None
    assert abs(found.refused_at.timestamp() - time.time()) < 60


async def test_a_refusal_that_no_counter_decided_is_read_with_whom_it_met(server: RedisServer, tmp_path: Path) -> None:
    async with both_ends(server, tmp_path, CACHE) as ends:
        room = Room(ends.pods["y"])
        room.apply(msgspec.convert(build_limits([(ends.quota, 2)]), tuple[Limit, ...]))
        with pytest.raises(LimitedError):
            room.put("a", 101, expires=time.time() + 60, tags=())
        await eventually(lambda: ends.read("cacheBytes/None/PerAgent").refusals == 1, what="the refusal is read")
        found = ends.read("cacheBytes/None/PerAgent")
        await room.close()

    assert (found.refused_agent, found.seen_refusals) == ("y", 1)


@pytest.mark.parametrize(
    ("limit", "resource"),
    [
        ({"resource": "queries", "max": 4, "window": "Second", "scope": "Shared"}, "queries"),
        ({"resource": "connectorConnections", "max": 2, "scope": "Shared"}, "connectorConnections"),
    ],
)
async def test_a_warning_is_read_however_short_the_time_that_use_was_there(
    server: RedisServer, tmp_path: Path, limit: Raw, resource: str
) -> None:
    async with both_ends(server, tmp_path, {**limit, "warnAt": [50, 100]}) as ends:
        pod = ends.pods["y"]
        if resource == "queries":
            await use(pod, queries=2)
        else:
            held = await pod.hold(resource, 1)
            assert [each.code for each in held.warnings] == ["QuotaWarning"]
            await held.release(1)
        row = f"{resource}/{limit.get('window', 'None')}/Shared"
        await eventually(lambda: bool(ends.read(row).warned), what="the warning is read")
        await ends.until_read(row, 0.0)
        [warned] = ends.read(row).warned

    assert (warned.percent, warned.agent) == (50, "y")
    assert abs(warned.time.timestamp() - time.time()) < 60


async def test_an_agent_that_calls_after_another_has_used_a_shared_limit_is_warned_too(
    server: RedisServer, tmp_path: Path
) -> None:
    async with both_ends(server, tmp_path, {**SHARED, "warnAt": [80]}) as ends:
        x, y = ends.pods["x"], ends.pods["y"]
        await use(x, queries=7)
        first = await x.reserve(ask(queries=1))
        told = [*first.warnings, *await first.settle({"queries": 1.0})]
        late = await y.reserve(ask(queries=1))
        told_late = [*late.warnings, *await late.settle({"queries": 1.0})]
        again = (await y.reserve(ask(queries=1))).warnings
        row = "queries/Hour/Shared"
        await eventually(lambda: [each.agent for each in ends.read(row).warned] == ["y"], what="both warnings are read")

    assert ([each.code for each in told], [each.code for each in told_late], again) == (
        ["QuotaWarning"],
        ["QuotaWarning"],
        (),
    )


async def test_of_each_agents_own_limit_the_one_that_used_most_is_read(server: RedisServer, tmp_path: Path) -> None:
    async with both_ends(server, tmp_path, OWN) as ends:
        await use(ends.pods["x"], rows=30)
        await use(ends.pods["y"], rows=50)
        found = await ends.until_read("rows/Day/PerAgent", 50.0)
        await eventually(lambda: len(ends.read("rows/Day/PerAgent").per_agent) == 2, what="both are read")

        assert ends.read("rows/Day/PerAgent").per_agent == {"x": 30.0, "y": 50.0}
    assert found.refusals == 0


async def test_what_is_held_is_read_while_it_is_and_given_back_by_who_died(server: RedisServer, tmp_path: Path) -> None:
    async with both_ends(server, tmp_path, HELD) as ends:
        reservation = await ends.pods["x"].reserve(ask(concurrentCalls=2))
        other = await ends.pods["y"].reserve(ask(concurrentCalls=1))
        await ends.until_read("concurrentCalls/None/Shared", 3.0)
        held = {"x": 2.0, "y": 1.0}
        await eventually(
            lambda: ends.read("concurrentCalls/None/Shared").per_agent == held, what="who holds it is read"
        )
        await reservation.settle({})
        await ends.until_read("concurrentCalls/None/Shared", 1.0)
        await eventually(lambda: ends.read("concurrentCalls/None/Shared").per_agent == {"y": 1.0}, what="that, too")
        await other.settle({})

        await ends.until_read("concurrentCalls/None/Shared", 0.0)


async def test_what_the_dead_held_is_given_back_although_nobody_is_left_to_call(
    server: RedisServer, tmp_path: Path
) -> None:
    async with both_ends(server, tmp_path, HELD, SHARED) as ends:
        await use(ends.pods["y"], queries=1)
        await ends.pods["x"].reserve(ask(concurrentCalls=2, queries=4))
        await ends.until_read("concurrentCalls/None/Shared", 2.0)
        for pod in ends.pods.values():
            crash(pod)
        long_ago(server)

        await ends.until_read("concurrentCalls/None/Shared", 0.0)
        await ends.until_read("queries/Hour/Shared", 1.0)


async def test_who_lives_keeps_what_it_holds_and_who_holds_nothing_is_left_alone(
    server: RedisServer, tmp_path: Path
) -> None:
    async with both_ends(server, tmp_path, HELD) as ends:
        await ends.pods["x"].reserve(ask(concurrentCalls=2))
        await ends.until_read("concurrentCalls/None/Shared", 2.0)
        quiet = ends.pods["y"]._pod
        long_ago(server, quiet)
        await ends.pods["x"].reserve(ask(concurrentCalls=1))
        await ends.until_read("concurrentCalls/None/Shared", 3.0)

        with server.client() as client:
            assert client.zscore(PODS_KEY, quiet) is not None


@pytest.mark.parametrize("state", [{"state": "recovering"}, {"run": "another"}])
async def test_nobody_is_taken_for_dead_while_the_store_has_yet_to_hear_who_was_there(
    server: RedisServer, tmp_path: Path, state: dict[str, str]
) -> None:
    async with both_ends(server, tmp_path, HELD) as ends:
        await ends.pods["x"].reserve(ask(concurrentCalls=2))
        await ends.until_read("concurrentCalls/None/Shared", 2.0)
        for pod in ends.pods.values():
            crash(pod)
        with server.client() as client:
            client.hset(EPOCH_KEY, mapping=state)
            long_ago(server)
            before = looks(client)
            await eventually(lambda: looks(client) > before + 2, what="it looks for the dead")

        assert ends.read("concurrentCalls/None/Shared").used == 2


async def test_of_a_quota_that_does_not_exist_no_call_is_served(server: RedisServer, tmp_path: Path) -> None:
    nothing = msgspec.convert(build_limits([], missing="gone"), tuple[Limit, ...])
    async with both_ends(server, tmp_path, SHARED) as ends:
        pod = Quotas(TIMES)
        try:
            await pod.apply(nothing, Agent(namespace="team", name="x", uid="x-uid"), None)
            with pytest.raises(LimitedError, match="gone"):
                await pod.reserve(ask(apiCalls=1))
        finally:
            await pod.close()
        assert ends.pods
