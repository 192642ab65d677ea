"""What pods may use of shared limits while Redis is away: their shares, and by how much all together pass a limit."""

import asyncio
import random
import time
from typing import Any

import pytest

from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas.away import Times
from ringfence_sidecar.quotas.buckets import Bucket
from ringfence_sidecar.quotas.quota import Quotas
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually
from tests.sidecar.quotas.pods import Pods, ask, crash, limit, ready, refused, use, used

pytestmark = pytest.mark.backend

BRISK = Times(patience=0.5, lease=3.0, beat=0.3)
"""With a lease that is longer than a second, so that a window of a second is treated as it is elsewhere."""
SILENT = Times(patience=0.5, lease=1.0, beat=3600.0)
"""Says nothing after it has begun."""
LASTING = Times(patience=0.5, lease=30.0, beat=3600.0)
"""The same, but what it heard as it joined is good for longer than a test."""


def shared(most: float = 100, agents: int = 2, **fields: Any) -> Any:
    """Return a limit on calls that pods use a share of while Redis is away."""
    return limit("apiCalls", most, **{"on_store_unavailable": "Local", "agents": agents, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"window": "Day"},
        {"window": "Day", "calendar": True},
        {"window": "Minute"},
        # Without a word, what reads has its share.
        {"window": "Hour", "on_store_unavailable": ""},
    ],
)
async def test_a_pod_that_makes_no_calls_goes_by_what_others_have_used(
    redis_server: RedisServer, pods: Pods, fields: dict[str, Any]
) -> None:
    quota = shared(**fields)
    busy = await pods.pod(redis_server.configuration(), quota, agent="a", times=BRISK)
    idle = await pods.pod(redis_server.configuration(), quota, agent="b", times=BRISK)
    never = await pods.pod(redis_server.configuration(), quota, agent="c", times=BRISK)
    await use(idle, apiCalls=1)
    before = 1 + await _spend(busy, 90)
    await _told(quota, before, idle, never)

    redis_server.kill()
    alone = [await _spend(each, 200) for each in (busy, idle)]

    assert before == 91
    # Nine were left, for two.
    assert alone == [4, 4]
    redis_server.start()
    await ready(busy)
    await ready(idle)
    assert await used(busy) == {"apiCalls": 99}


async def test_what_others_have_used_since_the_last_answer_is_all_by_which_a_limit_is_passed(
    redis_server: RedisServer, pods: Pods
) -> None:
    quota = shared(300, agents=3)
    made = [await pods.pod(redis_server.configuration(), quota, agent=name, times=BRISK) for name in "abc"]
    key = Bucket.of(quota, "").key
    granted: list[float] = []
    draw = random.Random(20_261_201)

    async def call_now_and_then(pod: Quotas, pause: float) -> None:
        while True:
            await _spend(pod, 1, granted)
            await asyncio.sleep(pause * draw.random())

    # For longer than a lease; the third makes no call.
    calling = [asyncio.create_task(call_now_and_then(*each)) for each in zip(made, (0.05, 0.1), strict=False)]
    await eventually(lambda: len(granted) >= 200, what="most of it is used", seconds=60)
    redis_server.kill()
    for task in calling:
        task.cancel()
    await asyncio.wait(calling)
    asked_at = min(each._store.known[key].at for each in made if each._store is not None)
    since = sum(moment > asked_at for moment in granted)
    for pod in made:
        await _spend(pod, 300, granted)

    # Of two shares a part of one is left over, and of two calls that were under way nobody had the answer.
    assert 300 - 2 - 2 <= len(granted) <= 300 + since


async def test_a_limit_of_a_second_is_not_passed_and_waits_for_no_more_than_one(
    redis_server: RedisServer, pods: Pods
) -> None:
    quota = shared(100, window="Second")
    busy = await pods.pod(redis_server.configuration(), quota, agent="a", times=BRISK)
    idle = await pods.pod(redis_server.configuration(), quota, agent="b", times=BRISK)
    granted: list[float] = []
    await _spend(busy, 90, granted)

    redis_server.kill()
    killed = time.monotonic()
    async with asyncio.timeout(30):
        while time.monotonic() < killed + 3.5:
            for each in (idle, busy):
                await _spend(each, 200, granted)
            await asyncio.sleep(0.005)

    spans = [sum(begin <= moment < begin + 1 for moment in granted) for begin in granted]
    assert max(spans) <= 100
    alone = [moment for moment in granted if moment > killed]
    assert len(alone) >= 200
    # Found out, and waited for a window of twenty-one twentieths.
    assert 1 <= min(alone) - granted[89] < 2.5


async def test_a_soft_limit_of_a_second_lets_calls_wait_until_it_knows(redis_server: RedisServer, pods: Pods) -> None:
    quota = shared(10, window="Second", enforcement="Soft", soft_deadline_seconds=10)
    pod = await pods.pod(redis_server.configuration(), quota, times=BRISK)
    redis_server.kill()

    async with asyncio.timeout(10):
        reservation = await pod.reserve(ask(10, apiCalls=1))

    assert reservation.grants == {"apiCalls": 1}


async def test_a_pod_that_has_heard_nothing_for_longer_than_a_lease_has_no_share(
    redis_server: RedisServer, pods: Pods
) -> None:
    quota, own = shared(), limit("toolCalls", 5, on_store_unavailable="Local", shared=False)
    slept = await pods.pod(redis_server.configuration(), quota, own, times=SILENT)
    store = slept._store
    assert store is not None
    await eventually(lambda: len(store.known) == 2, what="it is told where its limits stand")
    heard = time.monotonic()
    await eventually(lambda: time.monotonic() > heard + 1.5 * SILENT.lease, what="it has slept")

    redis_server.kill()
    error = await refused(slept, apiCalls=1)

    assert error.reason == "QuotaStoreUnavailable"
    # Nobody else uses what is its own.
    assert (await slept.reserve(ask(toolCalls=5))).grants == {"toolCalls": 5}


async def test_each_time_that_redis_is_away_shares_are_of_what_was_left_then(
    redis_server: RedisServer, pods: Pods
) -> None:
    quota = shared()
    # Whoever is first in a namespace waits for its lease.
    first = await pods.pod(redis_server.configuration(), quota, agent="c", times=BRISK)
    await first.close()
    busy = await pods.pod(redis_server.configuration(), quota, agent="a", times=LASTING)
    idle = await pods.pod(redis_server.configuration(), quota, agent="b", times=LASTING)
    spent = await _spend(busy, 20)

    redis_server.kill()
    # It knows of nothing yet, and has half of all.
    spent += await _spend(idle, 30) + await _spend(busy, 30)
    redis_server.start()
    await ready(idle)
    await ready(busy)
    redis_server.kill()
    spent += await _spend(idle, 200) + await _spend(busy, 200)

    # Of the twenty that are left, each has half, although neither has asked for any in between.
    assert spent == 100


async def test_what_a_store_says_that_hears_from_others_still_makes_no_share_larger(
    redis_server: RedisServer, pods: Pods
) -> None:
    quota = shared()
    gone = await pods.pod(redis_server.configuration(), quota, agent="a", times=BRISK)
    here = await pods.pod(redis_server.configuration(), quota, agent="b", times=Times(0.5, lease=30.0, beat=0.3))
    await _spend(gone, 90)
    await _told(quota, 90, here)
    crash(gone)
    with redis_server.client() as client:
        client.flushall()

    await eventually(lambda: "hears from other pods" in here.trouble, what="the loss is found out", seconds=20)
    # It is told of nothing: nobody who knows has spoken.
    said = await here.budgets()
    alone = await _spend(here, 200)

    assert [each.used for each in said] == [0]
    assert alone == 5


async def test_limits_that_a_pod_needs_no_share_of_are_not_asked_for(redis_server: RedisServer, pods: Pods) -> None:
    no_share = (
        limit("apiCalls", 100, on_store_unavailable="Deny"),
        limit("toolCalls", 100, on_store_unavailable="Allow"),
        limit("rows", 100, on_store_unavailable="Local", shared=False),
        limit("bytesReturned", 100, on_store_unavailable="Local", enforcement="Warn"),
        limit("queries", 100, on_store_unavailable=""),
    )
    quiet = await pods.pod(redis_server.configuration(), *no_share, times=BRISK)
    other = await pods.pod(redis_server.configuration(), shared(), agent="b", times=BRISK)
    store, watching = quiet._store, other._store
    assert store is not None
    assert watching is not None

    await eventually(lambda: len(store.known) == len(no_share), what="it is told once where they stand")

    assert not store.has_news
    assert watching.has_news


@pytest.mark.parametrize("joins", [True, False])
async def test_a_limit_that_only_warns_serves_while_redis_is_away_unless_it_says_otherwise(
    redis_server: RedisServer, pods: Pods, joins: bool
) -> None:
    serves = {"enforcement": "Warn", "on_store_unavailable": ""}
    costs, reads = limit("queries", 2, **serves), limit("rows", 2, **serves, agents=4)
    denies = limit("credits", 2, enforcement="Warn", on_store_unavailable="Deny")
    times = BRISK if joins else LASTING
    # The first pod of a namespace counts as if Redis were away until a lease is over.
    pod = await pods.pod(redis_server.configuration(), costs, reads, denies, joins=joins, times=times)
    if joins:
        redis_server.kill()

    for writes in (False, True, False):
        granted = await pod.reserve(ask(writes=writes, queries=1, rows=10))
        assert granted.grants == {"queries": 1, "rows": 10}
        await granted.settle({"queries": 1.0, "rows": 10.0})
    error = await refused(pod, credits=1)

    assert pod.trouble
    assert (error.reason, error.rule) == ("QuotaStoreUnavailable", "quota/team/credits")


async def _spend(pod: Quotas, calls: int, granted: list[float] | None = None) -> int:
    """Make calls until one is refused; return how many were not. `granted` is given their moments."""
    for number in range(calls):
        try:
            await (await pod.reserve(ask(apiCalls=1))).settle({"apiCalls": 1.0})
        except LimitedError:
            return number
        if granted is not None:
            granted.append(time.monotonic())
    return calls


async def _told(quota: Any, taken: float, *pods: Quotas) -> None:
    """Wait until pods know of what all have used; they ask for it themselves."""
    key = Bucket.of(quota, "").key
    known = [each._store.known for each in pods if each._store is not None]

    def all_know() -> bool:
        return all(key in each and each[key].taken == taken for each in known)

    await eventually(all_know, what="all know what was used", seconds=20)
