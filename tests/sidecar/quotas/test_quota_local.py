"""Counting in the process: limits of one agent without Redis, warnings, and what waits in line."""

import asyncio
import time

import msgspec
import pytest

from ringfence_sidecar.configuration import Agent, LimitUse
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quota import Reservation
from ringfence_sidecar.quotas.buckets import Bucket, Figures
from ringfence_sidecar.quotas.local import Last, share_of
from ringfence_sidecar.quotas.quota import Quotas
from tests.backends.waiting import eventually
from tests.sidecar.quotas.pods import Pods, ask, changed, limit, refused, use

HALF_PAST = 1_800_000_030_000
"""Half past a minute, in milliseconds."""
AGENT = Agent(namespace="team-a", name="a", uid="uid-a")


async def test_without_redis_a_limit_of_one_agent_is_exact(pods: Pods) -> None:
    pod = await pods.pod(None, limit("rows", 100, shared=False), limit("queries", 2, shared=False))
    reservation = await pod.reserve(ask(rows=90, queries=1))
    cut = await pod.reserve(ask(rows=20, queries=1))
    error = await refused(pod, rows=1)

    await reservation.settle({"rows": 40.0, "queries": 1.0})
    await cut.settle({})

    assert cut.grants == {"rows": 10, "queries": 1}
    assert (error.reason, error.rule, error.details["used"]) == ("QuotaExceeded", "quota/team/rows", 100)
    assert {each.resource: (each.used, each.remaining) for each in await pod.budgets()} == {
        "rows": (40, 60),
        "queries": (1, 1),
    }
    assert pod.trouble == ""


async def test_without_redis_a_shared_limit_is_always_away(pods: Pods) -> None:
    costs = limit("queries", 10, on_store_unavailable="")
    reads = limit("rows", 100, on_store_unavailable="", agents=4)
    free = limit("apiCalls", 1, on_store_unavailable="Allow")
    pod = await pods.pod(None, costs, reads, free)

    denied = await refused(pod, queries=1)
    granted = await pod.reserve(ask(rows=80, apiCalls=50))
    written = await refused(pod, writes=True, rows=1)
    beyond = await refused(pod, rows=1)

    assert (denied.reason, written.reason) == ("QuotaStoreUnavailable", "QuotaStoreUnavailable")
    assert "no Redis" in denied.message
    assert denied.retry_after == 30
    assert granted.grants == {"rows": 25, "apiCalls": 50}
    assert beyond.reason == "QuotaExceeded"
    assert "no Redis" in pod.trouble


async def test_what_a_pod_used_is_reported_where_no_redis_says_it(pods: Pods) -> None:
    pod = await pods.pod(None, limit("rows", 100, shared=False), limit("unackedLeases", 3, window="None", shared=False))
    await use(pod, rows=70)
    await pod.hold("unackedLeases", 3)
    await refused(pod, unackedLeases=1)
    before = time.time()

    rows, leases = pod.uses()

    assert rows.resets_at is not None
    assert before + 86_400 - 60 < rows.resets_at <= before + 86_400 * 21 / 20 + 60
    expected = LimitUse(quota_uid="uid-team", resource="rows", window="Day", shared=False, used=70)
    assert msgspec.structs.replace(rows, resets_at=None) == expected
    assert (leases.used, leases.refusals, leases.resets_at) == (3, 1, None)
    assert before - 60 < leases.refused_at <= before


async def test_a_refusal_by_a_limit_that_had_not_been_asked_is_counted_at_that_limit_alone(pods: Pods) -> None:
    shared, own = limit("rows", 100), limit("rows", 10, shared=False)
    pod = await pods.pod(None, shared, own)
    said = {"quota": "team", "resource": "rows", "window": "Day", "scope": "PerAgent"}

    pod.refused(LimitedError("one row is larger", details=said))

    assert [(each.shared, each.refusals) for each in pod.uses()] == [(True, 0), (False, 1)]


async def test_a_refusal_counts_once_and_waiting_is_none(pods: Pods) -> None:
    soft = limit("apiCalls", 1, window="None", shared=False, enforcement="Soft", soft_deadline_seconds=0.2)
    pod = await pods.pod(None, soft, limit("queries", 1, shared=False))
    held = await pod.reserve(ask(apiCalls=1))

    await refused(pod, apiCalls=1)
    waiting = asyncio.create_task(pod.reserve(ask(apiCalls=1)))
    await asyncio.sleep(0)
    await held.settle({})
    await waiting
    await refused(pod, queries=2)

    assert {each.resource: each.refusals for each in pod.uses()} == {"apiCalls": 1, "queries": 1}


async def test_what_is_free_with_time_is_granted_then(pods: Pods) -> None:
    pod = await pods.pod(None, limit("apiCalls", 5, window="Second", shared=False))
    await use(pod, apiCalls=5)

    error = await refused(pod, apiCalls=1)
    assert error.retry_after is not None
    await asyncio.sleep(error.retry_after)

    await use(pod, apiCalls=5)


async def test_soft_limits_let_calls_wait_in_the_order_in_which_they_came(pods: Pods) -> None:
    soft = limit("concurrentCalls", 1, window="None", shared=False, enforcement="Soft")
    pod = await pods.pod(None, soft)
    first = await pod.reserve(ask(concurrentCalls=1))
    order: list[int] = []

    async def call(number: int) -> None:
        reservation = await pod.reserve(ask(concurrentCalls=1))
        order.append(number)
        await reservation.settle({})

    waiting = []
    for number in range(5):
        waiting.append(asyncio.create_task(call(number)))
        await asyncio.sleep(0)
    await _in_line(pod, soft, 5)
    assert order == []
    await first.settle({})
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2, 3, 4]
    assert not pod._lines._lines


async def test_who_comes_later_does_not_overtake_those_in_line(pods: Pods) -> None:
    soft = limit("rows", 100, shared=False, enforcement="Soft", window="None")
    pod = await pods.pod(None, soft)
    half = await pod.hold("rows", 50)
    large = asyncio.create_task(pod.reserve(ask(queries=1, rows=1)))
    granted = await large
    assert granted.grants == {"rows": 1}
    await pod.hold("rows", 49)
    waiting = asyncio.create_task(pod.reserve(ask(rows=10)))
    await _in_line(pod, soft, 1)

    later = asyncio.create_task(pod.reserve(ask(rows=1)))
    await _in_line(pod, soft, 2)
    await half.release(10)

    assert (await waiting).grants == {"rows": 10}
    assert not later.done()
    later.cancel()
    await asyncio.wait({later})


async def test_a_soft_limit_refuses_once_its_own_time_or_the_calls_is_up(pods: Pods) -> None:
    brief = limit("apiCalls", 1, shared=False, enforcement="Soft", soft_deadline_seconds=0.1)
    patient = limit("queries", 1, shared=False, enforcement="Soft")
    pod = await pods.pod(None, brief, patient)
    await use(pod, apiCalls=1, queries=1)

    own = await refused(pod, seconds=60, apiCalls=1)
    calls = await refused(pod, seconds=0.1, queries=1)

    for error in (own, calls):
        assert error.reason == "QuotaWaitExceeded"
        assert "waited" in error.message
        assert error.retry_after is not None
        assert error.retry_after > 80_000


async def test_who_waits_is_judged_by_the_limit_that_holds_by_then(pods: Pods) -> None:
    soft = limit("concurrentCalls", 2, window="None", shared=False, enforcement="Soft", soft_deadline_seconds=1.5)
    pod = await pods.pod(None, soft)
    one, _ = await pod.reserve(ask(concurrentCalls=1)), await pod.reserve(ask(concurrentCalls=1))
    waiting = asyncio.create_task(refused(pod, concurrentCalls=1))
    await _in_line(pod, soft, 1)

    await pod.apply([changed(soft, max=1)], AGENT, None)
    await one.settle({})
    error = await waiting

    assert (error.reason, error.details["limit"]) == ("QuotaWaitExceeded", 1)


@pytest.mark.parametrize("limits", [(9,), ()])
async def test_a_limit_that_grows_or_goes_lets_those_through_who_wait(pods: Pods, limits: tuple[float, ...]) -> None:
    soft = limit("apiCalls", 1, shared=False, enforcement="Soft", soft_deadline_seconds=600)
    pod = await pods.pod(None, soft)
    await use(pod, apiCalls=1)
    waiting = [asyncio.create_task(pod.reserve(ask(600, apiCalls=1))) for _ in range(2)]
    await _in_line(pod, soft, 2)

    await pod.apply([changed(soft, max=most) for most in limits], AGENT, None)

    async with asyncio.timeout(10):
        granted = await asyncio.gather(*waiting)
    assert [each.grants for each in granted] == [{"apiCalls": 1} if limits else {}] * 2


async def test_a_hard_limit_refuses_at_once_although_a_soft_one_would_wait(pods: Pods) -> None:
    soft = limit("apiCalls", 1, shared=False, enforcement="Soft")
    hard = limit("apiCalls", 1, shared=False, quota="hard", quota_uid="uid-hard")
    pod = await pods.pod(None, soft, hard)
    await use(pod, apiCalls=1)

    error = await refused(pod, seconds=60, apiCalls=1)

    assert (error.reason, error.rule) == ("QuotaExceeded", "quota/hard/apiCalls")


async def test_a_call_that_is_cancelled_in_line_leaves_it(pods: Pods) -> None:
    soft = limit("concurrentCalls", 1, window="None", shared=False, enforcement="Soft")
    pod = await pods.pod(None, soft)
    first = await pod.reserve(ask(concurrentCalls=1))
    one, other = (asyncio.create_task(pod.reserve(ask(concurrentCalls=1))) for _ in range(2))
    await _in_line(pod, soft, 2)

    one.cancel()
    await asyncio.wait({one})
    await first.settle({})

    assert (await other).grants == {"concurrentCalls": 1}


async def test_a_quota_that_does_not_exist_refuses_by_name_whatever_the_store_does(pods: Pods) -> None:
    gone = limit("apiCalls", 0, window="Second", shared=False, quota="gone", quota_uid="")
    pod = await pods.pod(None, gone)

    error = await refused(pod, apiCalls=1)

    assert (error.reason, error.details["quota"], error.is_retryable) == ("QuotaNotFound", "gone", True)
    assert "quota gone does not exist" in error.message


async def test_warn_serves_and_says_that_the_limit_is_passed(pods: Pods) -> None:
    pod = await pods.pod(None, limit("queries", 2, shared=False, enforcement="Warn"))

    told = [(await use(pod, queries=1)).warnings for _ in range(4)]

    assert [len(each) for each in told] == [0, 0, 1, 1]
    assert told[2][0].code == "QuotaWarning"
    assert "queries 2 per Day (PerAgent) is passed: 3 used" in told[2][0].message


async def test_warn_says_so_of_rows_once_they_were_read_and_not_for_what_a_call_might_have_read(pods: Pods) -> None:
    pod = await pods.pod(None, limit("rows", 10, shared=False, enforcement="Warn"))
    told = []
    for read in (8, 2, 1, 0):
        reservation = await pod.reserve(ask(rows=1000))
        told.append([each.message for each in (*reservation.warnings, *await reservation.settle({"rows": read}))])

    assert told[:2] == [[], []]
    assert [len(each) for each in told[2:]] == [1, 1]
    assert "rows 10 per Day (PerAgent) is passed: 11 used" in told[2][0]


async def test_each_percentage_is_told_once_in_a_window(pods: Pods) -> None:
    pod = await pods.pod(None, limit("rows", 100, shared=False, warn_at=(50, 80)))
    told = []
    for _ in range(9):
        reservation = await pod.reserve(ask(rows=10))
        told.append([each.message for each in (*reservation.warnings, *await reservation.settle({"rows": 10.0}))])

    assert [len(each) for each in told] == [0, 0, 0, 0, 1, 0, 0, 1, 0]
    assert "is at 50% or more: 50 used" in told[4][0]
    assert "is at 80% or more: 80 used" in told[7][0]


async def test_a_percentage_that_calls_came_to_together_is_told_to_the_next(pods: Pods) -> None:
    pod = await pods.pod(None, limit("rows", 100, shared=False, warn_at=(50,)))
    first, second = await pod.reserve(ask(rows=10)), await pod.reserve(ask(rows=45))

    told = [await second.settle({"rows": 45.0}), await first.settle({"rows": 10.0})]
    third = await pod.reserve(ask(rows=1))

    # No answer waits for what the first one may have to say, so it says nothing.
    assert (first.may_warn, second.may_warn) == (False, True)
    assert told == [(), ()]
    assert "is at 50% or more" in third.warnings[0].message
    assert not third.may_warn


async def test_leases_that_are_asked_for_and_not_handed_out_come_to_no_percentage(pods: Pods) -> None:
    warn, only = limit("unackedLeases", 4, window="None", shared=False, warn_at=(50,)), {"enforcement": "Warn"}
    pod = await pods.pod(None, warn, changed(warn, quota="other", quota_uid="other", max=1, **only))

    few = await pod.reserve(ask(unackedLeases=4))
    none = [*few.warnings, *await few.settle({"unackedLeases": 0.0})]
    many = await pod.reserve(ask(unackedLeases=4))
    said = [*many.warnings, *await many.settle({"unackedLeases": 3.0})]

    assert none == []
    assert sorted(each.quota for each in said) == ["other", "other", "team"]
    assert [each.warned for each in pod.uses()] == [50, 50]


async def test_what_is_held_is_told_again_once_it_was_less(pods: Pods) -> None:
    pod = await pods.pod(None, limit("unackedLeases", 4, window="None", shared=False, warn_at=(50,)))

    async def receive() -> tuple[Reservation, int]:
        reservation = await pod.reserve(ask(unackedLeases=2))
        return reservation, len(reservation.warnings) + len(await reservation.settle({"unackedLeases": 2.0}))

    (one, first), (other, second) = await receive(), await receive()
    for each in (one, other):
        await each.release(2)
    await pod.reserve(ask(unackedLeases=1))
    _, again = await receive()

    assert (first, second, again) == (1, 0, 1)


@pytest.mark.parametrize(
    ("fields", "known", "seconds", "share"),
    [
        ({"agents": 4}, 60, 10, 10),
        ({"agents": 3}, 60, 10, 13),
        ({"agents": 4, "shared": False}, 60, 10, 40),
        ({"agents": 4}, 120, 10, 0),
        ({"agents": 4}, None, 0, 25),
        # The window in which so much was used is over: it is counted in twentieths, and one more.
        ({"agents": 4, "window": "Minute"}, 100, 64, 25),
        ({"agents": 4, "window": "Minute"}, 100, 59, 0),
        ({"agents": 4, "window": "Minute", "calendar": True}, 100, 31, 25),
        ({"agents": 4, "window": "Minute", "calendar": True}, 100, 29, 0),
        # What is held does not come back with time.
        ({"agents": 4, "window": "None"}, 80, 100_000, 5),
        # Others may have used all of so short a window.
        ({"agents": 4, "window": "Second"}, 0, 0.9, 0),
        ({"agents": 4, "window": "Second"}, 100, 1.1, 25),
        ({"agents": 4, "window": "Second", "shared": False}, 60, 0.9, 40),
    ],
)
def test_a_pods_share_is_of_what_was_left_as_the_store_was_lost(
    fields: dict[str, object], known: float | None, seconds: float, share: float
) -> None:
    bucket = Bucket.of(limit("rows", 100, **fields), "uid-a")
    last = None if known is None else Last({bucket.key: Figures(known, 0.0, None, 0.0)}, lost=0.0, lease=10.0)

    assert share_of(bucket, last, now=HALF_PAST, monotonic=seconds) == share


@pytest.mark.parametrize(
    ("fields", "age", "seconds", "share"),
    [
        ({}, 9.9, 20, 10),
        ({}, 10.1, 20, None),
        ({"window": "None"}, 10.1, 20, None),
        # Nobody else uses it, so it is as it was.
        ({"shared": False}, 3600, 20, 40),
        # Nothing that was used before counts any more, whatever it was.
        ({"window": "Minute"}, 10.1, 59, None),
        ({"window": "Minute"}, 10.1, 64, 25),
        ({"window": "Minute", "calendar": True}, 9, 31, 25),
        ({"window": "Minute", "calendar": True}, 9, 20, 10),
        # It was lost in this minute, and answered in the one before: what was used in that one counts no more.
        ({"window": "Minute", "calendar": True}, 9, 29, 23),
        ({"window": "Minute", "calendar": True}, 10.1, 29, None),
    ],
)
def test_of_what_the_store_said_long_before_it_was_lost_there_is_no_share(
    fields: dict[str, object], age: float, seconds: float, share: float | None
) -> None:
    bucket = Bucket.of(limit("rows", 100, agents=4, **fields), "uid-a")
    last = Last({bucket.key: Figures(55.0, 5.0, None, 1_000.0)}, lost=1_000.0 + age, lease=10.0)

    assert share_of(bucket, last, now=HALF_PAST, monotonic=last.lost + seconds) == share


@pytest.mark.parametrize(
    ("window", "seconds", "share"), [("Day", 80_000, None), ("Minute", 59, None), ("Minute", 64, 25)]
)
def test_a_process_that_was_told_nothing_has_a_share_once_what_earlier_ones_used_does_not_count(
    window: str, seconds: float, share: float | None
) -> None:
    bucket = Bucket.of(limit("rows", 100, agents=4, window=window), "uid-a")

    assert share_of(bucket, Last({}, lost=5.0, lease=10.0), now=HALF_PAST, monotonic=5.0 + seconds) == share


async def _in_line(pod: Quotas, of: object, count: int) -> None:
    def waiting() -> int:
        return sum(line.waiting for line in pod._lines._lines.values())

    await eventually(lambda: waiting() == count, what=f"{count} calls wait")
