"""A Redis that is away, comes back, or has lost what it knew."""

import asyncio
from typing import Any

import pytest

from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas.away import StoreAwayError, Times
from ringfence_sidecar.quotas.buckets import Bucket
from ringfence_sidecar.quotas.quota import Quotas
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually
from tests.sidecar.quotas.pods import QUICK, Pods, ask, crash, limit, ready, refused, use, used

pytestmark = pytest.mark.backend

EPOCH = "rf:{team-a}:quota:epoch"
PATIENT = Times(patience=3.0, lease=30.0, beat=0.3)
"""With a lease that no test waits for: what is back sooner is so because pods have spoken."""


def epoch(server: RedisServer) -> dict[str, str]:
    with server.client() as client:
        found: Any = client.hgetall(EPOCH)
    return {name.decode(): value.decode() for name, value in found.items()}


async def test_after_a_restart_the_store_is_away_until_every_pod_has_spoken(
    redis_server: RedisServer, pods: Pods
) -> None:
    shared = limit(most=100)
    one = await pods.pod(redis_server.configuration(), shared, times=QUICK)
    other = await pods.pod(redis_server.configuration(), shared, times=PATIENT)
    await use(one, queries=3)
    await use(other, queries=4)
    held = await one.reserve(ask(queries=5))
    before = epoch(redis_server)
    crash(other)

    redis_server.kill()
    redis_server.start()
    error = await _first_refusal(one)

    assert error.reason == "QuotaStoreUnavailable"
    assert "hears from other pods" in one.trouble
    await ready(one)
    assert await used(one) == {"queries": 12}
    await held.settle({"queries": 5.0})
    assert await used(one) == {"queries": 12}
    assert epoch(redis_server)["id"] != before["id"]


async def test_once_every_pod_has_spoken_nobody_waits_for_a_lease(redis_server: RedisServer, pods: Pods) -> None:
    shared = limit(most=100)
    one = await pods.pod(redis_server.configuration(), shared, times=QUICK)
    await use(one, queries=3)
    other = await pods.pod(redis_server.configuration(), shared, times=PATIENT)
    await use(other, queries=4)

    redis_server.kill()
    redis_server.start()
    await _spoken(redis_server, one, other)

    with redis_server.client() as client:
        seconds: Any = client.time()
    state = epoch(redis_server)
    assert (state["whole"], state["state"]) == ("1", "ready")
    # The one with the long lease may have begun it: then the time was not up.
    assert await used(one) == await used(other) == {"queries": 7}
    assert seconds


@pytest.mark.parametrize("loss", ["flushed", "restarted with nothing"])
async def test_a_store_that_has_lost_everything_hears_all_of_it_again(
    redis_server: RedisServer, pods: Pods, loss: str
) -> None:
    shared = limit(most=100), limit("unackedLeases", 9, window="None"), limit("rows", 50, window="Month", calendar=True)
    one = await pods.pod(redis_server.configuration(), *shared, agent="a")
    other = await pods.pod(redis_server.configuration(), *shared, agent="b")
    await use(one, queries=3, rows=20)
    await use(other, queries=4)
    leases = await other.hold("unackedLeases", 2)
    under_way = await one.reserve(ask(queries=10))

    with redis_server.client() as client:
        client.flushall()
    if loss != "flushed":
        redis_server.kill()
        redis_server.start()
    await _spoken(redis_server, one, other)

    assert await used(one) == {"queries": 17, "unackedLeases": 2, "rows": 20}
    await under_way.settle({"queries": 6.0})
    await leases.release(2)
    assert await used(other) == {"queries": 13, "unackedLeases": 0, "rows": 20}
    with redis_server.client() as client:
        totals: Any = client.hgetall("rf:{team-a}:quota:uid-team:queries:Day:Shared")
    assert (totals[b"a:uid-a"], totals[b"a:uid-b"]) == (b"9", b"4")


async def test_what_was_settled_while_the_store_was_away_is_told_once_it_is_back(
    redis_server: RedisServer, pods: Pods
) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("rows", 100), times=_quick_to_give_up())
    under_way = await pod.reserve(ask(rows=50))

    redis_server.kill()
    await under_way.settle({"rows": 20.0})
    redis_server.start()

    await ready(pod)
    assert await used(pod) == {"rows": 20}


@pytest.mark.parametrize(("way", "used_up"), [("Deny", 0), ("Local", 10)])
async def test_what_was_refused_while_the_store_was_away_is_told_once_it_is_back(
    redis_server: RedisServer, pods: Pods, way: str, used_up: float
) -> None:
    quota = limit("queries", 10, on_store_unavailable=way)
    pod = await pods.pod(redis_server.configuration(), quota, times=_quick_to_give_up())
    await use(pod, queries=used_up)
    redis_server.kill()

    for _ in range(2):
        await refused(pod, queries=1)
    redis_server.start()

    key = f"rf:{{team-a}}:{Bucket.of(quota, 'uid-a').key}"
    with redis_server.client() as client:
        await eventually(lambda: client.hmget(key, "n", "na") == [b"2", b"uid-a"], what="both are told", seconds=30)


async def test_away_writes_and_costs_are_denied_and_reads_have_a_share_of_what_was_left(
    redis_server: RedisServer, pods: Pods
) -> None:
    queries = limit("queries", 10, on_store_unavailable="")
    rows = limit("rows", 100, on_store_unavailable="", agents=4)
    calls = limit("apiCalls", 5, on_store_unavailable="Allow")
    own = limit("toolCalls", 5, on_store_unavailable="", shared=False)
    pod = await pods.pod(redis_server.configuration(), queries, rows, calls, own, times=_quick_to_give_up())
    await use(pod, rows=60, apiCalls=4, toolCalls=2)
    redis_server.freeze()

    denied = await refused(pod, queries=1)
    written = await refused(pod, writes=True, rows=1)
    share = await pod.reserve(ask(rows=50, apiCalls=1_000, toolCalls=3))
    nothing = await refused(pod, rows=1)
    own_nothing = await refused(pod, toolCalls=1)

    assert (denied.reason, denied.rule) == ("QuotaStoreUnavailable", "quota/team/queries")
    assert written.reason == "QuotaStoreUnavailable"
    # 40 were left, for four agents.
    assert share.grants == {"rows": 10, "apiCalls": 1_000, "toolCalls": 3}
    assert nothing.reason == own_nothing.reason == "QuotaExceeded"
    await share.settle({"rows": 5.0, "apiCalls": 1_000.0, "toolCalls": 3.0})
    assert (await pod.reserve(ask(rows=50))).grants == {"rows": 5}
    redis_server.thaw()
    await ready(pod)
    assert await used(pod) == {"queries": 0, "rows": 70, "apiCalls": 1_004, "toolCalls": 5}


async def test_away_a_process_that_has_never_had_an_answer_has_no_share(redis_server: RedisServer, pods: Pods) -> None:
    limits = (
        limit("rows", 100, on_store_unavailable=""),
        limit("toolCalls", 5, on_store_unavailable="", shared=False),
        limit("apiCalls", 5, on_store_unavailable="", enforcement="Warn"),
    )
    before = await pods.pod(redis_server.configuration(), *limits, agent="before", times=_quick_to_give_up())
    redis_server.kill()
    pod = await pods.pod(redis_server.configuration(), *limits, joins=False, times=_quick_to_give_up())

    shared = await refused(pod, rows=1)
    own = await refused(pod, toolCalls=1)
    warned = await pod.reserve(ask(apiCalls=1))

    assert (shared.reason, own.reason) == ("QuotaStoreUnavailable", "QuotaStoreUnavailable")
    assert warned.grants == {"apiCalls": 1}
    # Whoever has joined has been told, whether it has asked or not.
    assert (await before.reserve(ask(rows=1_000, toolCalls=1))).grants == {"rows": 100, "toolCalls": 1}


async def test_away_a_limit_that_came_while_the_store_answered_has_a_share(
    redis_server: RedisServer, pods: Pods
) -> None:
    rows = limit("rows", 100, on_store_unavailable="", agents=4)
    pod = await pods.pod(redis_server.configuration(), limit(most=5), times=_quick_to_give_up())
    await pod.apply([rows], Agent(namespace="team-a", name="a", uid="uid-a"), redis_server.configuration())
    store = pod._store
    assert store is not None
    await eventually(lambda: Bucket.of(rows, "uid-a").key in store.known, what="it is told where the limit stands")

    redis_server.kill()

    assert (await pod.reserve(ask(rows=1_000))).grants == {"rows": 25}


async def test_only_the_first_call_waits_for_a_store_that_does_not_answer(
    redis_server: RedisServer, pods: Pods
) -> None:
    # So patient that the test would not end, if every call were.
    pod = await pods.pod(redis_server.configuration(), limit(most=5), times=Times(patience=1.0, lease=5.0))
    redis_server.freeze()

    async with asyncio.timeout(20):
        for _ in range(100):
            await refused(pod, queries=1)

    redis_server.thaw()


async def test_a_server_that_throws_keys_away_counts_as_away(redis_server: RedisServer, pods: Pods) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    pod = await pods.pod(redis_server.configuration(), limit(most=5), joins=False)

    error = await refused(pod, queries=1)

    assert "allkeys-lru, not noeviction" in error.message
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
    await ready(pod)
    await use(pod, queries=1)


async def test_a_store_whose_scripts_were_flushed_is_given_them_again(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit(most=5))
    await use(pod, queries=1)
    with redis_server.client() as client:
        client.script_flush()

    await refused(pod, queries=9)
    await ready(pod)

    await use(pod, queries=1)
    assert await used(pod) == {"queries": 2}


async def test_what_is_older_than_the_window_is_not_counted_again(redis_server: RedisServer, pods: Pods) -> None:
    brief = limit(most=5, window="Second")
    pod = await pods.pod(redis_server.configuration(), brief)
    for _ in range(3):
        await use(pod, queries=5)
        await asyncio.sleep(1.2)
    with redis_server.client() as client:
        client.flushall()
    await _spoken(redis_server, pod)

    assert await used(pod) == {"queries": 0}
    await use(pod, queries=5)


async def test_limits_that_no_longer_hold_ask_nothing(redis_server: RedisServer, pods: Pods) -> None:
    shared = limit(most=5)
    pod = await pods.pod(redis_server.configuration(), shared)
    assert pod.limits("queries")

    await pod.apply([], Agent(namespace="team-a", name="a", uid="uid-a"), redis_server.configuration())
    redis_server.kill()

    assert not pod.limits("queries")
    assert (await pod.reserve(ask(queries=100))).grants == {}
    assert pod.trouble == ""


async def test_limits_that_come_back_go_on_from_what_was_used(redis_server: RedisServer, pods: Pods) -> None:
    shared, agent = limit(most=10), Agent(namespace="team-a", name="a", uid="uid-a")
    pod = await pods.pod(redis_server.configuration(), shared)
    await use(pod, queries=3)

    await pod.apply([], agent, redis_server.configuration())
    await pod.apply([shared], agent, redis_server.configuration())
    await ready(pod)
    await use(pod, queries=1)

    assert await used(pod) == {"queries": 4}


def _quick_to_give_up() -> Times:
    return Times(patience=0.3, lease=1.5, beat=0.3)


async def _first_refusal(pod: Quotas) -> Any:
    async with asyncio.timeout(20):
        while True:
            try:
                reservation = await pod.reserve(ask(queries=1))
                await reservation.settle({})
            except LimitedError as error:
                if pod.trouble != "Redis does not answer":
                    return error
            await asyncio.sleep(0.01)


async def _spoken(server: RedisServer, *pods: Quotas) -> None:
    """Wait until every pod has found out, and the store may be counted on again."""
    async with asyncio.timeout(40):
        while True:
            told = [await _is_told(pod) for pod in pods]
            if all(told) and epoch(server).get("state") == "ready":
                return
            await asyncio.sleep(0.02)


async def _is_told(pod: Quotas) -> bool:
    try:
        await used(pod)
    except StoreAwayError:
        return False
    return not pod.trouble


async def test_a_share_is_whole_though_the_store_has_been_told_of_what_was_used_of_it(
    redis_server: RedisServer, pods: Pods
) -> None:
    own = limit("rows", 3, shared=False, on_store_unavailable="Local")
    pod = await pods.pod(redis_server.configuration(), own, times=PATIENT, joins=False)
    store = pod._store
    assert store is not None
    await eventually(lambda: store.link.is_joined and bool(store.known), what="it knows where its limit stands")

    for number in (1, 2, 3):
        await use(pod, rows=1)
        assert await used(pod) == {"rows": number}

    assert (await refused(pod, rows=1)).reason == "QuotaExceeded"
    assert "hears from other pods" in pod.trouble
