"""Counting in a real Redis."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import redis

from ringfence_operator.egress.quota_buckets import Bucket as ReadBucket
from ringfence_operator.egress.redis_users import rights_of
from ringfence_sidecar.configuration import Agent, Limit
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas.buckets import Bucket
from ringfence_sidecar.quotas.quota import Quotas
from ringfence_sidecar.quotas.windows import Slots
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually
from tests.sidecar.quotas.pods import QUICK, Pods, ask, changed, crash, limit, ready, refused, use, used

pytestmark = pytest.mark.backend

PREFIX = "rf:{team-a}:"
DAY = 86_400_000
WEEK = 7 * DAY


def hash_of(server: RedisServer, of: Any, agent: str = "uid-a") -> dict[str, str]:
    key = f"{PREFIX}{Bucket.of(of, agent).key}"
    with server.client() as client:
        found: Any = client.hgetall(key)
    return {name.decode(): value.decode() for name, value in found.items()}


async def test_pods_share_a_limit_to_the_last_unit(redis_server: RedisServer, pods: Pods) -> None:
    one = await pods.pod(redis_server.configuration(), limit(most=10), agent="a")
    other = await pods.pod(redis_server.configuration(), limit(most=10), agent="b")
    for each in (one, other):
        await use(each, queries=4)

    error = await refused(other, queries=3)
    await use(other, queries=2)

    assert (error.reason, error.rule) == ("QuotaExceeded", "quota/team/queries")
    assert error.details == {
        "quota": "team",
        "resource": "queries",
        "window": "Day",
        "scope": "Shared",
        "enforcement": "Hard",
        "limit": 10,
        "used": 8,
    }
    assert error.retry_after is not None
    # One slot of the 21 that count is an hour and twelve minutes.
    assert 86_400 < error.retry_after <= 86_400 * 21 / 20
    assert "8 used" in error.message
    assert (await used(one), await used(other)) == ({"queries": 10}, {"queries": 10})


async def test_a_limit_of_each_agent_is_not_shared(redis_server: RedisServer, pods: Pods) -> None:
    own = limit(most=1, shared=False)
    one = await pods.pod(redis_server.configuration(), own, agent="a")
    other = await pods.pod(redis_server.configuration(), own, agent="b")

    await use(one, queries=1)

    await use(other, queries=1)
    await refused(one, queries=1)


async def test_what_was_granted_and_not_used_is_free_again(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("rows", 100))
    reservation = await pod.reserve(ask(rows=100))
    assert await used(pod) == {"rows": 100}

    await reservation.settle({"rows": 30.0})
    await reservation.settle({"rows": 30.0})

    assert await used(pod) == {"rows": 30}


async def test_who_asks_again_at_once_finds_given_back_what_the_last_call_did_not_use(
    redis_server: RedisServer, pods: Pods
) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("rows", 100), limit("concurrentCalls", 1, window="None"))
    first = await pod.reserve(ask(rows=100, concurrentCalls=1))

    settling = first.settle({"rows": 30.0})
    second = await pod.reserve(ask(rows=100, concurrentCalls=1))
    await settling

    assert second.grants == {"rows": 70, "concurrentCalls": 1}
    assert await used(pod) == {"rows": 100, "concurrentCalls": 1}


async def test_what_can_be_cut_is_granted_what_is_left(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("rows", 100), limit("querySeconds", 10))
    await use(pod, rows=70, querySeconds=9.95)

    cut = await pod.reserve(ask(rows=50))
    nothing = await refused(pod, rows=1)
    too_little = await refused(pod, querySeconds=1)

    assert cut.grants == {"rows": 30}
    assert nothing.details["used"] == 100
    assert too_little.details["used"] == 9.95


async def test_less_than_a_call_says_that_it_needs_is_not_granted(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("credits", 10))
    await use(pod, credits=9.5)
    wanted = ask(credits=5)

    with pytest.raises(LimitedError) as refused:
        await pod.reserve(replace(wanted, least={"credits": 0.6}))
    cut = await pod.reserve(replace(wanted, least={"credits": 0.4}))

    assert refused.value.details["used"] == 9.5
    assert cut.grants == {"credits": 0.5}


async def test_of_several_limits_all_agree_or_nothing_is_taken(redis_server: RedisServer, pods: Pods) -> None:
    strict = limit("queries", 1, quota="strict", quota_uid="uid-strict")
    pod = await pods.pod(redis_server.configuration(), limit("queries", 9), limit("rows", 9), strict)
    await use(pod, queries=1)

    error = await refused(pod, queries=1, rows=5)

    assert error.rule == "quota/strict/queries"
    assert {budget.resource: budget.used for budget in await pod.budgets()} == {"queries": 1, "rows": 0}
    # Per limit, not per resource.
    assert [budget.used for budget in await pod.budgets()] == [1, 1, 0]


async def test_more_than_the_limit_will_never_be_granted_and_that_is_said(
    redis_server: RedisServer, pods: Pods
) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("messagesPublished", 5))

    error = await refused(pod, messagesPublished=6)

    assert (error.is_retryable, error.retry_after) == (False, None)
    assert "ask for less" in error.message


async def test_fractions_do_not_drift(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("querySeconds", 3))

    for _ in range(30):
        await use(pod, querySeconds=0.1)

    assert await used(pod) == {"querySeconds": 3}
    assert hash_of(redis_server, limit("querySeconds"))["r"] == "0"
    await refused(pod, querySeconds=0.1)


async def test_where_fractions_stand_is_told_as_it_is_counted(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("querySeconds", 10))

    for _ in range(3):
        await pod.reserve(ask(querySeconds=0.1))

    assert [each.used for each in pod.known()] == [0.3]


async def test_a_process_that_was_quiet_for_a_week_counts_nothing_twice(redis_server: RedisServer, pods: Pods) -> None:
    hourly = limit(most=40, window="Hour")
    pod = await pods.pod(redis_server.configuration(), hourly)
    await use(pod, queries=30)

    # Nothing of it counts any more, so that it says nothing, and a week goes by.
    pod._ledger.slots = {key: (bucket, Slots(bucket.shape)) for key, (bucket, _) in pod._ledger.slots.items()}
    with redis_server.client() as client:
        for key in _keys(client):
            if 0 <= _left(client, key) <= WEEK:
                client.delete(key)
    await use(pod, queries=1)

    assert await used(pod) == {"queries": 1}
    assert hash_of(redis_server, hourly)["a:uid-a"] == "1"


async def test_nothing_stays_for_ever_of_a_namespace_whose_pods_have_gone(
    redis_server: RedisServer, pods: Pods
) -> None:
    limits = (
        limit("rows", 9),
        limit("unackedLeases", 9, window="None"),
        limit("queries", 9, window="Month"),
        limit("messagesReceived", 9),
    )
    pod = await pods.pod(redis_server.configuration(), *limits)
    await use(pod, rows=3, queries=1)
    await (await pod.hold("unackedLeases", 2)).release(2)
    await refused(pod, rows=9, queries=10)
    await pod.reserve(ask(messagesReceived=2))
    await pod.hold("unackedLeases", 3)
    crash(pod)

    with redis_server.client() as client:
        left = {key: _left(client, key) for key in _keys(client)}

    assert {each.rpartition(":")[2] for each in left} >= {"epoch", "pods", "touched", pod._pod}
    assert [key for key, milliseconds in left.items() if milliseconds < 0] == []


async def test_what_a_pod_held_that_died_a_week_ago_is_given_to_the_next_that_asks(
    redis_server: RedisServer, pods: Pods
) -> None:
    shared = limit("connectorConnections", 1, window="None")
    one = await pods.pod(redis_server.configuration(), shared, agent="a")
    await one.hold("connectorConnections", 1)
    crash(one)

    with redis_server.client() as client:
        gone = [key for key in _keys(client) if 0 <= _left(client, key) <= WEEK]
        assert not gone or client.delete(*gone)
    other = await pods.pod(redis_server.configuration(), shared, agent="b")
    await eventually(lambda: not _is_alive(redis_server, one), what="the lease has ended")

    await other.hold("connectorConnections", 1)


async def test_what_is_held_for_long_is_kept_as_long_as_its_pod_lives(redis_server: RedisServer, pods: Pods) -> None:
    held = limit("connectorConnections", 1, window="None")
    one = await pods.pod(redis_server.configuration(), held)
    await one.hold("connectorConnections", 1)

    with redis_server.client() as client:
        keys = [key for key in _keys(client) if key.endswith((":Shared", one._pod))]
        for key in keys:
            client.pexpire(key, WEEK)
        await eventually(lambda: min(_left(client, key) for key in keys) > WEEK, what="the pod has said it again")

    assert len(keys) == 3, "what it holds, what it told, and the bucket"


async def test_what_is_held_is_kept_for_a_day_after_the_last_of_it_was_given_back(
    redis_server: RedisServer, pods: Pods
) -> None:
    held = limit("unackedLeases", 9, window="None"), limit("concurrentCalls", 9, window="None")
    settled, ended, died = [await pods.pod(redis_server.configuration(), *held, agent=each) for each in "abc"]
    found = []

    async def take(pod: Quotas) -> tuple[Any, Any]:
        taken = await pod.reserve(ask(concurrentCalls=1)), await pod.hold("unackedLeases", 2)
        found.append(kept())
        return taken

    def kept() -> list[tuple[bool, int]]:
        with redis_server.client() as client:
            buckets = sorted(key for key in _keys(client) if key.endswith(":None:Shared"))
            return [(_left(client, key) > DAY, _held(client, key)) for key in buckets]

    async def until_given_back() -> None:
        await _until_used(settled, {"concurrentCalls": 0, "unackedLeases": 0})
        found.append(kept())

    call, leases = await take(settled)
    await leases.release(1)
    await call.settle({})
    await leases.release(1)
    await until_given_back()
    await take(ended)
    await ended.close()
    await until_given_back()
    await take(died)
    crash(died)
    await until_given_back()

    assert found == [[(True, 1), (True, 2)], [(False, 0), (False, 0)]] * 3


async def test_what_a_dead_pod_held_comes_back_with_its_lease(redis_server: RedisServer, pods: Pods) -> None:
    shared = limit("rows", 100), limit("unackedLeases", 5, window="None")
    one = await pods.pod(redis_server.configuration(), *shared, agent="a")
    other = await pods.pod(redis_server.configuration(), *shared, agent="b")
    await use(one, rows=10)
    await one.reserve(ask(rows=90))
    await one.hold("unackedLeases", 5)
    await refused(other, rows=1)
    await refused(other, unackedLeases=1)

    crash(one)
    await _until_used(other, {"rows": 10, "unackedLeases": 0})

    assert (await other.reserve(ask(rows=90))).grants == {"rows": 90}


async def test_who_holds_something_keeps_it_for_longer_than_a_lease(redis_server: RedisServer, pods: Pods) -> None:
    held = limit("connectorConnections", 1, window="None")
    one = await pods.pod(redis_server.configuration(), held, agent="a")
    other = await pods.pod(redis_server.configuration(), held, agent="b")
    connection = await one.hold("connectorConnections", 1)

    for _ in range(12):
        await asyncio.sleep(0.2)
        await refused(other, connectorConnections=1)

    await connection.release(1)
    await other.hold("connectorConnections", 1)


async def test_a_pod_that_was_taken_for_dead_says_what_it_used_and_takes_nothing_from_others(
    redis_server: RedisServer, pods: Pods
) -> None:
    shared = limit("rows", 100)
    one = await pods.pod(redis_server.configuration(), shared, agent="a")
    other = await pods.pod(redis_server.configuration(), shared, agent="b")
    reservation = await one.reserve(ask(rows=40))
    store = one._store
    assert store is not None
    store.link._keeping.cancel()
    await _until_used(other, {"rows": 0})
    mine = await other.reserve(ask(rows=50))
    # Back again: as a process is that did not run for a while.
    store.link._keeping = asyncio.create_task(store.link._keep())

    await reservation.settle({"rows": 40.0})

    await _until_used(other, {"rows": 90})
    await mine.settle({"rows": 50.0})
    assert await used(one) == {"rows": 90}
    assert hash_of(redis_server, shared)["r"] == "0"


async def test_a_call_that_went_away_while_it_was_granted_holds_nothing(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("rows", 100))
    redis_server.freeze()
    asking = asyncio.create_task(pod.reserve(ask(rows=60)))
    await asyncio.sleep(0.05)
    asking.cancel()
    await asyncio.wait({asking})
    redis_server.thaw()

    await _until_used(pod, {"rows": 0})

    assert (await pod.reserve(ask(rows=100))).grants == {"rows": 100}


async def test_what_is_held_stays_after_its_call_and_a_call_under_way_does_not(
    redis_server: RedisServer, pods: Pods
) -> None:
    limits = limit("unackedLeases", 10, window="None"), limit("concurrentCalls", 1, window="None")
    pod = await pods.pod(redis_server.configuration(), *limits)
    reservation = await pod.reserve(ask(unackedLeases=8, concurrentCalls=1))
    await refused(pod, concurrentCalls=1)

    await reservation.settle({"unackedLeases": 6.0, "concurrentCalls": 1.0})

    assert await used(pod) == {"unackedLeases": 6, "concurrentCalls": 0}
    await reservation.release(4)
    assert await used(pod) == {"unackedLeases": 2, "concurrentCalls": 0}
    cut = await pod.reserve(ask(unackedLeases=9))
    assert cut.grants["unackedLeases"] == 8
    await refused(pod, unackedLeases=1)


async def test_what_is_given_back_is_that_of_the_call_that_took_it(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("unackedLeases", 10, window="None"))
    waiting = await pod.reserve(ask(unackedLeases=5))
    received = await pod.reserve(ask(unackedLeases=3))
    # The first of its messages is settled before the call that received it.
    await received.release(1)
    await received.settle({"unackedLeases": 3.0})
    before = await used(pod)

    await received.release(2)
    await waiting.settle({"unackedLeases": 0.0})
    await waiting.release(1)

    assert before == {"unackedLeases": 7}
    assert await used(pod) == {"unackedLeases": 0}


async def test_what_is_held_goes_back_to_the_limits_that_it_was_taken_from(
    redis_server: RedisServer, pods: Pods
) -> None:
    wide, strict = _connections("wide", 9), _connections("strict", 1)
    pod = await pods.pod(redis_server.configuration(), wide)
    first = await pod.hold("connectorConnections", 1)
    await pod.apply([wide, strict], _agent(), redis_server.configuration())
    second = await pod.hold("connectorConnections", 1)

    await first.release(1)

    with pytest.raises(LimitedError, match="quota strict") as refused_one:
        await pod.hold("connectorConnections", 1)
    assert ReadBucket.of(hash_of(redis_server, strict, "uid-a")).refusals == 0
    pod.refused(refused_one.value)
    await eventually(
        lambda: ReadBucket.of(hash_of(redis_server, strict, "uid-a")).refusals == 1, what="it counts once it is said"
    )
    await second.release(1)
    assert [each.used for each in await pod.budgets()] == [0, 0]


async def test_a_limit_that_holds_no_longer_for_an_agent_is_given_back_what_it_held(
    redis_server: RedisServer, pods: Pods
) -> None:
    shared = _connections("shared", 1)
    one = await pods.pod(redis_server.configuration(), shared, agent="a")
    other = await pods.pod(redis_server.configuration(), shared, agent="b")
    connection = await one.hold("connectorConnections", 1)
    await one.apply([], _agent(), redis_server.configuration())

    await connection.release(1)

    await other.hold("connectorConnections", 1)


async def test_a_changed_limit_goes_on_from_what_was_used(redis_server: RedisServer, pods: Pods) -> None:
    wide = limit(most=10)
    pod = await pods.pod(redis_server.configuration(), wide)
    reservation = await pod.reserve(ask(queries=6))

    await pod.apply([changed(wide, max=7)], _agent(), redis_server.configuration())

    await refused(pod, queries=2)
    await reservation.settle({"queries": 6.0})
    await use(pod, queries=1)
    assert await used(pod) == {"queries": 7}


async def test_another_password_loses_nothing_of_what_is_under_way(redis_server: RedisServer, pods: Pods) -> None:
    both = limit(most=10), limit("unackedLeases", 3, window="None")
    pod = await pods.pod(redis_server.configuration(), *both)
    await use(pod, queries=3)
    reservation = await pod.reserve(ask(queries=4))
    leases = await pod.hold("unackedLeases", 2)
    with redis_server.client() as client:
        _raw(client, "ACL", "SETUSER", "other", "on", ">new", "~*", "+@all")

    await pod.apply(both, _agent(), redis_server.configuration(username="other", password="new"))
    await ready(pod)

    assert await used(pod) == {"queries": 7, "unackedLeases": 2}
    await reservation.settle({"queries": 1.0})
    await leases.release(2)
    assert await used(pod) == {"queries": 4, "unackedLeases": 0}


async def test_the_rights_of_a_namespaces_user_are_enough(redis_server: RedisServer, pods: Pods) -> None:
    with redis_server.client() as client:
        _raw(client, "ACL", "SETUSER", "rf-team-a", *rights_of("team-a", "password"))
    own = redis_server.configuration(username="rf-team-a", password="password")
    limits = limit("rows", 100), limit("unackedLeases", 3, window="None"), limit("queries", 5, calendar=True)

    one = await pods.pod(own, *limits, agent="a")
    other = await pods.pod(own, *limits, agent="b")
    await use(one, rows=3, queries=1)
    await one.reserve(ask(rows=97))
    lease = await one.hold("unackedLeases", 1)
    await refused(other, rows=1)
    await lease.release(1)
    crash(one)

    await _until_used(other, {"rows": 3, "unackedLeases": 0, "queries": 1})
    await other.close()


async def test_the_operator_reads_what_pods_have_written(redis_server: RedisServer, pods: Pods) -> None:
    shared = limit("rows", 10)
    one = await pods.pod(redis_server.configuration(), shared, agent="a")
    other = await pods.pod(redis_server.configuration(), shared, agent="b")
    await use(one, rows=3)
    await use(other, rows=4)
    await one.reserve(ask(rows=3))
    await refused(other, rows=2)

    read = ReadBucket.of(hash_of(redis_server, shared))

    assert sum(read.slots.values()) == 7
    assert read.granted == 3
    assert read.totals == {"uid-a": 3, "uid-b": 4}
    assert (read.refusals, read.refused_agent) == (1, "uid-b")
    with redis_server.client() as client:
        touched: Any = client.smembers(f"{PREFIX}quota:touched")
    assert touched == {f"{PREFIX}{Bucket.of(shared, '').key}".encode()}


async def test_what_was_used_is_not_taken_for_a_refusal_and_one_told_with_it_is_counted(
    redis_server: RedisServer, pods: Pods
) -> None:
    held, queries = limit("concurrentCalls", 9, window="None"), limit("queries", 100)
    pod = await pods.pod(redis_server.configuration(), held, queries)
    for _ in range(3):
        reservation = await pod.reserve(ask(concurrentCalls=1, queries=1))
        await reservation.settle({"queries": 1.0})
    quiet = ReadBucket.of(hash_of(redis_server, queries))

    reservation = await pod.reserve(ask(concurrentCalls=1, queries=1))
    settling = reservation.settle({"queries": 1.0})
    pod._ledger.refuse(Bucket.of(queries, "uid-a"))
    await settling

    read = ReadBucket.of(hash_of(redis_server, queries))
    assert (quiet.refusals, quiet.refused_at, pod.trouble) == (0, 0.0, "")
    assert (read.refusals, read.refused_agent) == (1, "uid-a")
    assert await used(pod) == {"concurrentCalls": 0, "queries": 4}


async def test_who_gives_up_in_line_before_it_is_the_first_is_counted_as_refused(
    redis_server: RedisServer, pods: Pods
) -> None:
    soft = limit("concurrentCalls", 1, window="None", enforcement="Soft", soft_deadline_seconds=600)
    pod = await pods.pod(redis_server.configuration(), soft)
    await pod.reserve(ask(concurrentCalls=1))
    first = asyncio.create_task(pod.reserve(ask(600, concurrentCalls=1)))
    await eventually(lambda: bool(pod._lines._lines), what="the first one waits")

    error = await refused(pod, seconds=0.1, concurrentCalls=1)

    assert error.reason == "QuotaWaitExceeded"
    assert not first.done()
    read = ReadBucket.of(hash_of(redis_server, soft))
    assert (read.refusals, read.refused_agent) == (1, "uid-a")
    first.cancel()
    await asyncio.wait({first})


async def test_a_pod_that_ends_in_order_leaves_nothing_held(redis_server: RedisServer, pods: Pods) -> None:
    shared = limit("rows", 100)
    one = await pods.pod(redis_server.configuration(), shared)
    other = await pods.pod(redis_server.configuration(), shared)
    await one.reserve(ask(rows=100))

    await one.close()

    assert (await other.reserve(ask(rows=100))).grants == {"rows": 100}


async def _until_used(pod: Any, expected: dict[str, float]) -> None:
    found: dict[str, float] = {}

    async def look() -> None:
        for budget in await pod.budgets():
            found[budget.resource] = budget.used

    for _ in range(200):
        await look()
        if found == expected and not pod.trouble:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found}, not {expected}")


def _connections(quota: str, most: float) -> Limit:
    return limit("connectorConnections", most, window="None", quota=quota, quota_uid=f"uid-{quota}")


def _keys(client: "redis.Redis") -> list[str]:
    found: Any = client.keys(f"{PREFIX}quota:*")
    return [key.decode() for key in found]


def _is_alive(server: RedisServer, pod: Quotas) -> bool:
    with server.client() as client:
        heard: Any = client.zscore(f"{PREFIX}quota:pods", pod._pod)
        seconds, _ = client.time()
    return heard is not None and heard / 1000 + QUICK.lease > seconds


def _left(client: "redis.Redis", key: str) -> int:
    """Return for how many milliseconds the key is kept; less than 0 for ever."""
    found: Any = client.pttl(key)
    return int(found)


def _held(client: "redis.Redis", key: str) -> int:
    """Return how much of a bucket is held."""
    found: Any = client.hget(key, "r")
    return int(found)


def _agent() -> Agent:
    return Agent(namespace="team-a", name="a", uid="uid-a")


def _raw(client: "redis.Redis", *words: str) -> None:
    run: Any = client.execute_command
    run(*words)
