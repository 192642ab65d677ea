"""What is read of quotas from a real Redis, in the layout that sidecars write."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.egress.quota_store import QuotaStore
from ringfence_operator.egress.redis_place import RedisPlace
from ringfence_operator.reconcile.quota_use import Use
from ringfence_operator.reconcile.view import View
from tests.backends.redis_server import ADMINISTRATOR, RedisServer, running_redis
from tests.backends.waiting import eventually
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import agent_body, quota_body

pytestmark = pytest.mark.backend
Raw = dict[str, Any]
QUERIES: Raw = {"resource": "queries", "max": 100, "window": "Hour", "scope": "Shared"}
CALLS: Raw = {"resource": "apiCalls", "max": 10, "window": "Hour"}
PREFIX = "rf:{team}:"
SHARED_KEY = f"{PREFIX}quota:q-uid:queries:Hour:Shared"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as found:
        yield found


class Bed:
    """A store that reads all the time, and a hand that writes as sidecars do."""

    def __init__(self, view: View, place: RedisPlace, client: "redis.Redis") -> None:
        self.told: list[tuple[str, str]] = []
        self.ahead = 0.0
        self.store = QuotaStore(
            view, place, on_use=self.told.append, clock=lambda: time.time() + self.ahead, look_seconds=0.01
        )
        self.client = client
        self._view = view

    def write(self, key: str, fields: Mapping[Any, Any], *, touches: bool = True) -> None:
        self.client.hset(key, mapping=fields)
        if touches:
            self.client.sadd(f"{PREFIX}quota:touched", key)

    def slot(self) -> int:
        return int(time.time()) // 180

    def use(self, limit: str, quota: str = "q") -> Use:
        found = self._view.quotas.get("team", quota)
        assert isinstance(found, Quota)
        return self.store.uses(found)[limit]

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        await eventually(is_so, what=what)


def place(folder: Path, server: RedisServer) -> RedisPlace:
    file = folder / "administrator"
    file.write_text(f"{ADMINISTRATOR}\n")
    return RedisPlace(url=server.url, administrator=file)


@asynccontextmanager
async def reading(server: RedisServer, folder: Path, *limits: Raw) -> AsyncIterator[Bed]:
    agents = [agent_body(name) for name in ("x", "y")]
    view = view_of(agents=agents, quotas=[quota_body("q", *(limits or (QUERIES, CALLS)), selector={})])
    with server.client() as client:
        bed = Bed(view, place(folder, server), client)
        running = asyncio.create_task(bed.store.run())
        try:
            yield bed
        finally:
            running.cancel()
            await asyncio.wait([running], timeout=5)


async def test_what_was_there_before_is_read_at_once(server: RedisServer, tmp_path: Path) -> None:
    async with reading(server, tmp_path) as bed:
        slot = f"s:{bed.slot()}"
        bed.write(SHARED_KEY, {slot: 30, "r": 5, "a:x-uid": 20, "a:y-uid": 10}, touches=False)

    async with reading(server, tmp_path) as bed:
        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 35, "35 are used")
        use = bed.use("queries/Hour/Shared")

    assert use.per_agent == {"x": 20.0, "y": 10.0}
    assert use.resets_at is not None
    assert 3_600 - 180 < use.resets_at.timestamp() - time.time() <= 3_780
    assert (use.refusals, use.refused_at, use.trouble) == (0, None, None)


async def test_what_was_not_read_yet_is_not_known_and_nobody_having_used_anything_is_told(
    server: RedisServer, tmp_path: Path
) -> None:
    async with reading(server, tmp_path, QUERIES) as bed:
        before = bed.use("queries/Hour/Shared")
        await bed.until(lambda: bed.told == [("team", "q")], "it is told")
        after = bed.use("queries/Hour/Shared")

    assert (before.is_awaited, after.is_awaited, after.used) == (True, False, 0.0)


async def test_what_is_touched_is_read_and_told_and_nothing_else(server: RedisServer, tmp_path: Path) -> None:
    async with reading(server, tmp_path) as bed:
        await bed.until(lambda: bed.client.info("stats")["total_commands_processed"] > 50, "it has looked")
        quiet = list(bed.told)
        slot = f"s:{bed.slot()}"
        bed.write(SHARED_KEY, {slot: 80, "n": 3, "nt": 1_795_435_200, "na": "y-uid"})
        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 80, "80 are used")
        use = bed.use("queries/Hour/Shared")

        # At first, that it is known; and then, of what was touched.
        assert (quiet, bed.told) == ([("team", "q")], [("team", "q")] * 2)
        assert bed.client.exists(f"{PREFIX}quota:touched") == 0
    assert (use.refusals, use.refused_agent) == (3, "y")
    assert use.refused_at is not None
    assert use.refused_at.timestamp() == 1_795_435_200


async def test_of_each_agents_own_the_one_that_used_most_is_told(server: RedisServer, tmp_path: Path) -> None:
    async with reading(server, tmp_path) as bed:
        slot = f"s:{bed.slot()}"
        for uid, used, refused in (("x-uid", 4, 100), ("y-uid", 9, 50), ("stranger", 99, 999)):
            said = {slot: used, "n": 2, "nt": refused, "na": uid, "w:80": f"{refused + 1} {uid}"}
            bed.write(f"{PREFIX}quota:q-uid:apiCalls:Hour:{uid}", said)
        await bed.until(lambda: bed.use("apiCalls/Hour/PerAgent").used == 9, "9 are used")
        use = bed.use("apiCalls/Hour/PerAgent")

    assert use.per_agent == {"x": 4.0, "y": 9.0}
    assert (use.refusals, use.refused_agent) == (4, "x")
    assert {agent: at.timestamp() for agent, at in use.refused.items()} == {"x": 100, "y": 50}
    assert sorted((each.agent, each.percent, each.time.timestamp()) for each in use.warned) == [
        ("x", 80, 101),
        ("y", 80, 51),
    ]


async def test_a_server_that_does_not_answer_is_told_of_after_a_while_and_what_it_had_stays(
    server: RedisServer, tmp_path: Path
) -> None:
    async with reading(server, tmp_path) as bed:
        bed.write(SHARED_KEY, {f"s:{bed.slot()}": 80})
        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 80, "80 are used")
        bed.told.clear()
        server.kill()
        await asyncio.to_thread(lambda: None)
        blip = bed.use("queries/Hour/Shared").trouble
        bed.ahead = 11
        await bed.until(lambda: ("team", "q") in bed.told, "it is told that Redis is away")
        away = bed.use("queries/Hour/Shared")
        bed.told.clear()
        server.start()
        bed.ahead = 60
        await bed.until(lambda: bed.use("queries/Hour/Shared").trouble is None, "Redis is back")

        assert (blip, away.used) == (None, 80)
        assert away.trouble is not None
        assert away.trouble[0] is Reason.STORE_UNAVAILABLE
        assert bed.use("queries/Hour/Shared").used == 0, "it has lost what it had"
        assert bed.told


async def test_a_namespace_that_gets_its_first_quota_late_is_not_told_that_redis_is_away(
    server: RedisServer, tmp_path: Path
) -> None:
    first = view_of(agents=[agent_body("x")], quotas=[])
    told: list[tuple[str, str]] = []
    ahead = [0.0]
    store = QuotaStore(first, place(tmp_path, server), on_use=told.append, clock=lambda: time.time() + ahead[0])

    ahead[0] = 3_600
    use = store.uses(Quota.from_body(quota_body("q", QUERIES, selector={})))["queries/Hour/Shared"]

    assert (use.used, use.trouble) == (0.0, None)


async def test_a_store_that_has_lost_something_counts_as_away_until_sidecars_have_reported(
    server: RedisServer, tmp_path: Path
) -> None:
    epoch = f"{PREFIX}quota:epoch"
    async with reading(server, tmp_path) as bed:
        bed.client.hset(epoch, mapping={"id": "1", "state": "recovering"})
        await bed.until(lambda: bed.use("queries/Hour/Shared").trouble is not None, "it counts as away")
        use = bed.use("queries/Hour/Shared")
        bed.client.hset(epoch, mapping={"id": "1", "state": "ready"})
        await bed.until(lambda: bed.use("queries/Hour/Shared").trouble is None, "it is back")

    assert use.trouble is not None
    assert use.trouble[0] is Reason.STORE_UNAVAILABLE
    assert "have yet to report" in use.trouble[1]


async def test_another_epoch_is_read_anew(server: RedisServer, tmp_path: Path) -> None:
    async with reading(server, tmp_path) as bed:
        bed.client.hset(f"{PREFIX}quota:epoch", mapping={"id": "1", "state": "ready"})
        bed.write(SHARED_KEY, {f"s:{bed.slot()}": 80})
        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 80, "80 are used")
        bed.client.delete(SHARED_KEY)
        bed.client.hset(f"{PREFIX}quota:epoch", "id", "2")

        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 0, "nothing is used")


async def test_everything_is_read_now_and_then_although_nobody_touches_it(server: RedisServer, tmp_path: Path) -> None:
    async with reading(server, tmp_path) as bed:
        bed.write(SHARED_KEY, {f"s:{bed.slot()}": 80})
        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 80, "80 are used")
        bed.client.hset(SHARED_KEY, f"s:{bed.slot()}", 90)

        bed.ahead = 601

        await bed.until(lambda: bed.use("queries/Hour/Shared").used == 90, "90 are used")


async def test_agents_that_are_gone_leave_one_field_of_a_shared_bucket_to_all_of_them(
    server: RedisServer, tmp_path: Path
) -> None:
    slot = f"s:{int(time.time()) // 180}"
    gone = {f"a:gone-{number}": 2 for number in range(1_200)}
    with server.client() as client:
        client.hset(SHARED_KEY, mapping={slot: 30, "a:x-uid": 20, "a:y-uid": 10.5, **gone})

    async with reading(server, tmp_path) as bed:
        await bed.until(lambda: bed.client.hget(SHARED_KEY, "a:") == b"2400", "what is gone is folded")
        found: dict[Any, Any] = bed.client.hgetall(SHARED_KEY)
        use = bed.use("queries/Hour/Shared")

    totals = {name.decode(): float(value) for name, value in found.items() if name.startswith(b"a:")}
    assert totals == {"a:x-uid": 20, "a:y-uid": 10.5, "a:": 2_400}
    assert use.per_agent == {}, "what was used before nobody counts as used within the window"


async def test_refusals_are_seen_as_they_come_and_those_before_are_not_new(server: RedisServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.hset(SHARED_KEY, mapping={"n": 7})

    async with reading(server, tmp_path) as bed:
        found = []
        for fields in ({"n": 7}, {"n": 9}, {"n": 1}):
            number = fields["n"]
            bed.write(SHARED_KEY, fields)
            await bed.until(lambda: bed.use("queries/Hour/Shared").refusals == number, f"{number} are read")  # noqa: B023
            found.append(bed.use("queries/Hour/Shared").seen_refusals)
        bed.write(f"{PREFIX}quota:q-uid:apiCalls:Hour:x-uid", {"n": 3})
        await bed.until(lambda: bed.use("apiCalls/Hour/PerAgent").refusals == 3, "those of an agent are read")
        own = bed.use("apiCalls/Hour/PerAgent").seen_refusals

    assert found == [0, 2, 3]
    assert own == 3


async def test_a_server_that_throws_keys_away_is_told_of_until_it_does_no_more(
    server: RedisServer, tmp_path: Path
) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")

    async with reading(server, tmp_path) as bed:
        await bed.until(lambda: bed.use("queries/Hour/Shared").trouble is not None, "it is told")
        trouble = bed.use("queries/Hour/Shared").trouble
        told = list(bed.told)
        bed.client.config_set("maxmemory-policy", "noeviction")
        await bed.until(lambda: bed.use("queries/Hour/Shared").trouble is None, "it is mended")

    assert trouble is not None
    assert trouble[0] is Reason.NOT_SUPPORTED
    assert "write maxmemory-policy noeviction in place of allkeys-lru" in trouble[1]
    assert told == [("team", "q")] * 2, "that it is known, and what is the matter"


async def test_many_buckets_are_taken_in_one_look(server: RedisServer, tmp_path: Path) -> None:
    async with reading(server, tmp_path, *[CALLS]) as bed:
        names = [f"{PREFIX}quota:gone:apiCalls:Hour:{number}" for number in range(1_200)]
        bed.client.sadd(f"{PREFIX}quota:touched", *names)

        await bed.until(lambda: not bed.client.exists(f"{PREFIX}quota:touched"), "all are taken")
        await bed.until(lambda: not bed.use("apiCalls/Hour/PerAgent").is_awaited, "it goes on")
        assert bed.told == [("team", "q")]


async def test_what_was_touched_is_not_taken_by_who_leads_no_more(server: RedisServer, tmp_path: Path) -> None:
    leads = [True]
    view = view_of(agents=[agent_body("x")], quotas=[quota_body("q", QUERIES, selector={})])
    former = QuotaStore(
        view,
        place(tmp_path, server),
        on_use=lambda _: None,
        clock=time.time,
        look_seconds=0.001,
        is_leading=lambda: leads[0],
    )
    async with reading(server, tmp_path, QUERIES) as bed:
        quota = view.quotas.get("team", "q")
        assert quota is not None
        running = asyncio.create_task(former.run())
        bed.write(SHARED_KEY, {f"s:{bed.slot()}": "1"})
        await bed.until(lambda: former.uses(quota)["queries/Hour/Shared"].used == 1, "the former leader has read")
        leads[0] = False
        for used in range(2, 30):
            bed.write(SHARED_KEY, {f"s:{bed.slot()}": str(used)})
            await bed.until(lambda used=used: bed.use("queries/Hour/Shared").used == used, "who leads is told")  # type: ignore[misc]
        running.cancel()
        await asyncio.wait({running})
