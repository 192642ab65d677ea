"""cacheBytes: what an agent takes up of the cache."""

import asyncio
import time

import msgspec
import pytest

from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.configuration import Agent, CachePolicy, Configuration, Limit, LocalCache
from ringfence_sidecar.configuration import Values as Settings
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.kept import Kept
from tests.backends.waiting import eventually
from tests.sidecar.counters import Counters, budget

AGENT = Agent(namespace="team-a", name="alice", uid="a-1")
KEPT = CachePolicy(ttl_seconds=60)


def limit(most: float, *, enforcement: str = "Hard") -> Limit:
    return Limit(quota="team", quota_uid="q-1", resource="cacheBytes", max=most, enforcement=enforcement)


async def kept_with(*limits: Limit, room: Room | None = None) -> Kept:
    kept = Kept(room)
    values, local = Settings(max_bytes=100_000), LocalCache(max_bytes=100_000)
    await kept.apply(Configuration(version="1", agent=AGENT, limits=limits, values=values, local_cache=local))
    return kept


async def answered(kept: Kept, name: str, size: int) -> bool:
    """Ask for an answer of that size; return whether it was kept already."""

    async def load() -> tuple[bytes, bool]:
        return b"x" * size, True

    return (await kept.fetch("store", (name,), frozenset(), KEPT, load)).info.hit


async def test_a_value_beyond_the_limit_is_refused_and_one_that_fits_is_not() -> None:
    kept = await kept_with(limit(1000))

    await kept.values.set("a", b"1" * 600)
    with pytest.raises(LimitedError) as refused:
        await kept.values.set("b", b"1" * 401)
    await kept.values.set("b", b"1" * 400)

    assert refused.value.details["resource"] == "cacheBytes"
    assert (refused.value.details["limit"], refused.value.details["used"]) == (1000, 600)
    await kept.close()


async def test_a_refusal_is_told_to_whoever_counts_for_the_quotas_status() -> None:
    quota = Counters(budget("cacheBytes", 1000))
    kept = await kept_with(limit(1000), room=Room(quota))

    with pytest.raises(LimitedError):
        await kept.values.set("b", b"1" * 1001)

    assert quota.refusals == ["cacheBytes"]
    await kept.close()


async def test_what_is_set_anew_deleted_or_forgotten_by_its_tag_counts_no_longer() -> None:
    room = Room()
    kept = await kept_with(limit(1000), room=room)

    await kept.values.set("a", b"1" * 900)
    await kept.values.set("a", b"1" * 500)
    await kept.values.set("b", b"1" * 300, tags=("t",))
    after_sets = room.used
    await kept.values.invalidate_tag("t")
    after_tag = room.used
    await kept.values.delete("a")

    assert (after_sets, after_tag, room.used) == (800, 500, 0)
    await kept.close()


async def test_what_has_expired_counts_no_longer() -> None:
    room = Room()
    kept = await kept_with(limit(1000), room=room)

    await kept.values.set("a", b"1" * 900, ttl_seconds=0.02)
    over = time.monotonic() + 0.03
    await eventually(lambda: time.monotonic() > over, what="it has expired")
    await kept.values.set("b", b"1" * 900)

    assert room.used == 900
    await kept.close()


async def test_answers_give_way_to_values_and_are_not_kept_where_there_is_no_room() -> None:
    room = Room()
    kept = await kept_with(limit(5000), room=room)

    await answered(kept, "first", 2000)
    was_kept = await answered(kept, "first", 2000)
    await kept.values.set("a", b"1" * 4000)
    after = await answered(kept, "first", 2000)
    again = await answered(kept, "first", 2000)

    assert (was_kept, after, again) == (True, False, False)
    assert room.used == 4000
    await kept.close()


async def test_a_lower_limit_drops_answers_at_once_and_a_higher_one_lets_values_in() -> None:
    room = Room()
    kept = await kept_with(limit(5000), room=room)
    await answered(kept, "first", 2000)
    before = room.used

    values, local = Settings(max_bytes=100_000), LocalCache(max_bytes=100_000)
    for version, most in (("2", 1000), ("3", 9000)):
        made = Configuration(version=version, agent=AGENT, limits=(limit(most),), values=values, local_cache=local)
        await kept.apply(made)
        if version == "2":
            assert room.used == 0
            with pytest.raises(LimitedError):
                await kept.values.set("a", b"1" * 1001)
    await kept.values.set("a", b"1" * 8000)

    assert before > 2000
    await kept.close()


async def test_a_limit_that_only_warns_lets_the_value_in_and_says_so() -> None:
    kept = await kept_with(limit(1000, enforcement="Warn"))

    quiet = await kept.values.set("a", b"1" * 900)
    warned = await kept.values.set("b", b"1" * 900)

    assert quiet == ()
    assert [(each.code, each.quota, each.resource) for each in warned] == [("QuotaWarning", "team", "cacheBytes")]
    await kept.close()


async def test_a_percentage_of_what_is_taken_up_is_said_once_until_it_was_less() -> None:
    kept = await kept_with(msgspec.structs.replace(limit(1000), warn_at=(50, 80)))

    sizes = (499, 500, 600, 850, 100, 500)
    said = [[each.message for each in await kept.values.set("a", b"1" * size)] for size in sizes]

    assert [len(each) for each in said] == [0, 1, 0, 1, 0, 1]
    assert ["80%" in each[0] for each in said if each] == [False, True, False]
    await kept.close()


async def test_the_quota_is_told_what_is_taken_up_even_while_nothing_is_asked() -> None:
    quota = Counters(budget("cacheBytes", 1000))
    kept = await kept_with(limit(1000), room=Room(quota))

    await kept.values.set("a", b"1" * 900, ttl_seconds=0.05)
    await eventually(lambda: quota.used["cacheBytes"] == 900, what="it is told")
    await eventually(lambda: quota.used["cacheBytes"] == 0, what="it is told of the end")
    await kept.close()


async def test_what_no_redis_keeps_and_the_process_forgets_counts_no_longer() -> None:
    room = Room()
    kept = Kept(room)
    await kept.apply(
        Configuration(version="1", agent=AGENT, limits=(limit(1_000_000),), values=Settings(max_bytes=1000))
    )

    await asyncio.gather(*(kept.values.set(f"v{number}", b"1" * 900) for number in range(20)))

    assert room.used < 4 * 1000
    await kept.close()
