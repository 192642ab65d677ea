"""cacheBytes bounds what Redis keeps of an agent, whichever process has set it."""

from functools import partial
from typing import Any

import msgspec
import pytest

from ringfence_operator.egress.redis_users import rights_of
from ringfence_sidecar.cache.index import Index
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.cache.store import StoreAwayError
from ringfence_sidecar.configuration import Agent, Configuration, Limit, LocalCache, Redis
from ringfence_sidecar.configuration import Values as Settings
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.kept import Kept
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually

pytestmark = pytest.mark.backend
LIMIT = Limit(quota="team", quota_uid="q-1", resource="cacheBytes", max=1000, enforcement="Hard")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here is about a slow Redis: machines are busy."""
    monkeypatch.setattr("ringfence_sidecar.kept.Shared", partial(Shared, patience=5.0))


def configuration(redis: Redis, *, agent: str = "alice", shared_as: str = "") -> Configuration:
    return Configuration(
        version="1",
        agent=Agent(namespace="team-a", name=agent, uid=f"uid-of-{agent}"),
        redis=redis,
        limits=(LIMIT,),
        values=Settings(max_bytes=1000, shared_as=shared_as),
        local_cache=LocalCache(max_bytes=100_000),
    )


async def process(made: Configuration) -> tuple[Kept, Room]:
    """A process of the agent's, which ends without a word."""
    room = Room()
    kept = Kept(room)
    await kept.apply(made)
    return kept, room


def bytes_in(server: RedisServer) -> int:
    with server.client() as client:
        keys: Any = client.keys("rf:{team-a}:e:v:*")
        sizes: Any = [client.strlen(key) for key in keys]
    return sum(sizes)


def reads(client: Any) -> int:
    """Return how many requests Redis has read; asking is one."""
    return int(client.info("stats")["total_reads_processed"])


async def test_what_is_forgotten_by_its_tag_leaves_redis_whoever_of_those_that_share_has_set_it(
    redis_server: RedisServer,
) -> None:
    redis = redis_server.configuration()
    one, room = await process(configuration(redis, shared_as="crew"))
    other, _ = await process(configuration(redis, agent="bob", shared_as="crew"))

    for number in range(50):
        await one.values.set(f"key-{number}", b"1" * 900, tags=("draft",))
        await (one if number % 2 else other).values.invalidate_tag("draft")
        if not number % 2:
            await one.values.delete(f"key-{number}")
    await one.values.set("final", b"1" * 500, tags=("final",))

    assert room.used == 500
    await eventually(lambda: 500 <= bytes_in(redis_server) < 1_000, what="what is worthless has left Redis")
    await one.close()
    await other.close()


async def test_the_next_process_counts_what_the_one_before_has_left(redis_server: RedisServer) -> None:
    made = configuration(redis_server.configuration())
    before, _ = await process(made)
    await before.values.set("a", b"1" * 600, tags=("t",))
    await before.values.set("b", b"1" * 100, ttl_seconds=0.2)
    await before.close()

    kept, room = await process(made)
    with pytest.raises(LimitedError) as refused:
        await kept.values.set("c", b"1" * 500)
    await eventually(lambda: room.used == 600, what="what has expired counts no longer")
    await kept.values.invalidate_tag("t")
    await kept.values.set("c", b"1" * 1000)

    assert refused.value.details["used"] >= 600
    assert bytes_in(redis_server) < 1_500
    await kept.close()


async def test_of_an_owner_that_others_share_each_counts_what_it_has_set(redis_server: RedisServer) -> None:
    redis = redis_server.configuration()
    one, _ = await process(configuration(redis, shared_as="crew"))
    await one.values.set("a", b"1" * 600)

    other, room = await process(configuration(redis, agent="bob", shared_as="crew"))
    await other.values.set("b", b"1" * 700)

    assert room.used == 700
    await one.close()
    await other.close()


async def test_new_credentials_for_the_same_server_count_nothing_anew_and_a_namespaces_rights_are_enough(
    redis_server: RedisServer,
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "rf-team-a", *rights_of("team-a", "password"))
    kept, room = await process(configuration(redis_server.configuration()))
    await kept.values.set("a", b"1" * 600, tags=("t",))

    await kept.apply(configuration(redis_server.configuration(username="rf-team-a", password="password")))
    used = room.used
    with pytest.raises(LimitedError):
        await kept.values.set("b", b"1" * 500)
    await kept.values.set("b", b"1" * 300)
    await kept.values.invalidate_tag("t")
    await kept.values.delete("b")

    assert used == 600
    await eventually(lambda: (room.used, bytes_in(redis_server)) == (0, 0), what="all of it has left Redis")
    await kept.close()


async def test_what_is_set_anew_with_a_tag_outlives_the_sweep_of_what_the_tag_has_made_worthless(
    redis_server: RedisServer,
) -> None:
    redis = redis_server.configuration()
    one, room = await process(configuration(redis, shared_as="crew"))
    other, _ = await process(configuration(redis, agent="bob", shared_as="crew"))
    for number in range(300):
        await one.values.set(f"old-{number}", b"1", tags=("t", f"t-{number}"))

    await one.values.invalidate_tag("t")
    await other.values.set("new", b"2", tags=("t",))
    await eventually(lambda: room.used == 0, what="what is worthless has left Redis")

    assert (await one.values.get("new")).body == b"2"
    assert bytes_in(redis_server) > 0
    await one.close()
    await other.close()


async def test_what_redis_was_away_for_is_swept_once_it_is_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, room = await process(configuration(redis_server.configuration()))
    await kept.values.set("a", b"1" * 900, tags=("t",))
    sweep, asked = Index.sweep, list[int]()

    async def away(index: Index, *arguments: Any) -> Any:
        asked.append(len(asked))
        if len(asked) == 1:
            raise StoreAwayError
        return await sweep(index, *arguments)

    monkeypatch.setattr(Index, "sweep", away)
    await kept.values.invalidate_tag("t")
    await kept.values.set("b", b"1" * 800)

    assert (len(asked), room.used) == (2, 800)
    assert 800 <= bytes_in(redis_server) < 1_000
    await kept.close()


@pytest.mark.parametrize("limits", [(), (LIMIT,)], ids=["without a limit", "with one"])
async def test_a_tag_is_forgotten_in_one_round_trip_however_many_values_have_it(
    redis_server: RedisServer, limits: tuple[Limit, ...]
) -> None:
    kept, _ = await process(msgspec.structs.replace(configuration(redis_server.configuration()), limits=limits))
    for number in range(500):
        await kept.values.set(f"key-{number}", b"1", tags=("t",))

    with redis_server.client() as client:
        before = reads(client)
        await kept.values.invalidate_tag("t")
        after = reads(client)

    assert after - before - 1 == 1
    await kept.close()


async def test_the_index_keeps_nothing_of_what_has_expired(redis_server: RedisServer) -> None:
    kept, room = await process(configuration(redis_server.configuration()))

    for number in range(20):
        await kept.values.set(f"key-{number}", b"1", ttl_seconds=0.05)
    await eventually(lambda: room.used == 0, what="all have expired")
    await kept.values.set("last", b"1")

    with redis_server.client() as client:
        kinds: Any = {key: (client.type(key), client.pttl(key)) for key in client.keys("rf:{team-a}:v:*")}
        names = [client.hlen(key) if kind == b"hash" else client.zcard(key) for key, (kind, _) in kinds.items()]
    assert names == [1, 1]
    assert all(0 < left <= 3_600_000 for _, left in kinds.values())
    await kept.close()
