import asyncio
import random
import time

import pytest

from ringfence_sidecar.cache.store import PATIENCE_SECONDS
from ringfence_sidecar.configuration import CachePolicy
from ringfence_sidecar.errors import BackendError, BackendLostError, DeadlineError
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually
from tests.sidecar.cache.pods import Backend, Pods

SERVES_STALE = CachePolicy(ttl_seconds=0.05, stale_while_revalidate_seconds=60)
OUTLIVES_ERRORS = CachePolicy(ttl_seconds=0.05, stale_if_error_seconds=60)


async def test_without_redis_an_answer_is_kept_in_the_process(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()

    first, second = await pod.ask(backend), await pod.ask(backend)

    assert (first.info.hit, second.info.hit, second.info.layer) == (False, True, "local")
    assert backend.asked == 1
    assert pod.answers.is_reachable is None


async def test_without_redis_an_invalidation_is_seen_at_once(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()
    await pod.ask(backend)
    backend.content = "second"

    await pod.answers.invalidate("sales", frozenset({"DB.S.T"}))

    assert (await pod.ask(backend)).body == b"second"


async def test_while_a_write_is_in_doubt_nothing_is_kept_of_its_table_and_afterwards_it_is(pods: Pods) -> None:
    pod, backend, other = pods.pod(), Backend(), Backend()
    await pod.ask(other, material="select 2", tags=frozenset({"DB.S.U"}))

    await pod.answers.invalidate("sales", frozenset({"DB.S.T"}), doubt=0.2)

    await pod.ask(backend)
    backend.content = "second"
    assert (await pod.ask(backend)).body == b"second"
    assert (await pod.ask(other, material="select 2", tags=frozenset({"DB.S.U"}))).info.hit
    await asyncio.sleep(0.2)
    await pod.ask(backend)
    assert (await pod.ask(backend)).info.hit


async def test_more_doubts_than_can_be_remembered_are_one_about_everything(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_sidecar.cache.generations._MOST", 10)
    pod, backend = pods.pod(), Backend()

    await pod.answers.invalidate("sales", frozenset(f"DB.S.T{number}" for number in range(11)), doubt=60)

    for _ in range(2):
        await pod.ask(backend, tags=frozenset({"DB.S.T3"}))
    assert backend.asked == 2


async def test_a_policy_without_ttl_keeps_nothing(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()

    for _ in range(2):
        await pod.ask(backend, policy=CachePolicy())

    assert backend.asked == 2


async def test_what_may_not_be_kept_is_asked_again(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend(may_keep=False)

    for _ in range(2):
        await pod.ask(backend)

    assert backend.asked == 2


async def test_an_answer_that_is_too_long_is_not_kept(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend("x" * 101)

    for _ in range(2):
        await pod.ask(backend, policy=CachePolicy(ttl_seconds=60, max_entry_bytes=100))

    assert backend.asked == 2


async def test_those_who_wait_for_one_answer_ask_once(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend(seconds=0.05)

    found = await asyncio.gather(*(pod.ask(backend) for _ in range(20)))

    assert {each.body for each in found} == {b"first"}
    assert backend.asked == 1


async def test_one_who_leaves_does_not_take_the_answer_from_the_others(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend(seconds=0.1)
    leader = asyncio.create_task(pod.ask(backend))
    follower = asyncio.create_task(pod.ask(backend))
    await eventually(lambda: backend.asked == 1, what="the backend is asked")

    leader.cancel()

    assert (await follower).body == b"first"
    assert (backend.asked, backend.cancelled) == (1, 0)


async def test_when_all_have_left_the_backend_is_told(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend(seconds=60)
    waiting = [asyncio.create_task(pod.ask(backend)) for _ in range(3)]
    await eventually(lambda: backend.asked == 1, what="the backend is asked")

    for task in waiting:
        task.cancel()

    await asyncio.gather(*waiting, return_exceptions=True)
    await eventually(lambda: backend.cancelled == 1, what="the question is cancelled")


async def test_one_whose_time_is_up_does_not_fail_those_who_have_more(pods: Pods) -> None:
    pod, hasty, patient = pods.pod(), Backend(seconds=0.05), Backend("patience")
    hasty.error = DeadlineError("too late")
    first = asyncio.create_task(pod.ask(hasty))
    await eventually(lambda: hasty.asked == 1, what="the first one asks")

    second = await pod.ask(patient)

    assert second.body == b"patience"
    with pytest.raises(DeadlineError):
        await first


async def test_a_failure_goes_to_all_who_wait_and_is_not_kept(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend(seconds=0.02)
    backend.error = BackendError("no such table")

    found = await asyncio.gather(pod.ask(backend), pod.ask(backend), return_exceptions=True)

    assert [type(each) for each in found] == [BackendError, BackendError]
    backend.error = None
    assert (await pod.ask(backend)).body == b"first"


async def test_a_stale_answer_is_served_while_it_is_renewed(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()
    await pod.ask(backend, policy=SERVES_STALE)
    backend.content = "second"
    await asyncio.sleep(0.06)

    stale = await pod.ask(backend, policy=SERVES_STALE)

    assert (stale.body, stale.info.stale) == (b"first", True)
    await eventually(lambda: backend.asked == 2, what="it is renewed")
    assert (await pod.ask(backend, policy=SERVES_STALE)).body == b"second"


async def test_a_stale_answer_is_served_for_want_of_the_backend_and_says_so(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()
    await pod.ask(backend, policy=OUTLIVES_ERRORS)
    backend.error = BackendLostError("gone")
    await asyncio.sleep(0.06)

    found = await pod.ask(backend, policy=OUTLIVES_ERRORS)

    assert (found.body, found.info.stale) == (b"first", True)
    assert [each.code for each in found.warnings] == ["StaleAnswer"]


async def test_what_the_backend_refuses_is_not_covered_by_a_stale_answer(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()
    await pod.ask(backend, policy=OUTLIVES_ERRORS)
    backend.error = BackendError("not permitted any more")
    await asyncio.sleep(0.06)

    with pytest.raises(BackendError):
        await pod.ask(backend, policy=OUTLIVES_ERRORS)


async def test_what_was_invalidated_is_not_served_for_want_of_the_backend(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()
    await pod.ask(backend, policy=OUTLIVES_ERRORS)
    backend.error = BackendLostError("gone")

    await pod.answers.invalidate("sales", frozenset({"DB.S.T"}))

    with pytest.raises(BackendLostError):
        await pod.ask(backend, policy=OUTLIVES_ERRORS)


async def test_a_caller_may_ask_past_the_cache_and_renew_it(pods: Pods) -> None:
    pod, backend = pods.pod(), Backend()
    await pod.ask(backend)
    backend.content = "second"

    renewed = await pod.ask(backend, refresh=True)

    assert renewed.body == b"second"
    assert (await pod.ask(backend)).info.hit
    assert backend.asked == 2


@pytest.mark.backend
async def test_another_pod_finds_the_answer_in_redis(redis_server: RedisServer, pods: Pods) -> None:
    one, other = (pods.pod(redis_server.configuration()) for _ in range(2))
    backend = Backend()
    await one.ask(backend)

    found = await other.ask(backend)

    assert (found.body, found.info.layer, backend.asked) == (b"first", "redis", 1)
    assert (await other.ask(backend)).info.layer == "local"


@pytest.mark.backend
@pytest.mark.parametrize("what", ["namespace", "connector", "material"])
async def test_an_answer_never_crosses(what: str, redis_server: RedisServer, pods: Pods) -> None:
    one = pods.pod(redis_server.configuration())
    namespace = "team-b" if what == "namespace" else "team-a"
    # The prefix stays: even whoever could read another namespace's keys would not find its answers.
    other = pods.pod(redis_server.configuration(), namespace=namespace)
    backend = Backend()
    await one.ask(backend)

    await other.ask(
        backend,
        connector="billing" if what == "connector" else "sales",
        material="select 2" if what == "material" else "select 1",
    )

    assert backend.asked == 2


@pytest.mark.backend
async def test_after_an_invalidation_no_pod_serves_the_old_answer_for_longer_than_100_ms(
    redis_server: RedisServer, pods: Pods
) -> None:
    one, other = (pods.pod(redis_server.configuration()) for _ in range(2))
    backend = Backend()
    for pod in (one, other):
        await pod.ask(backend)
    backend.content = "second"

    await one.answers.invalidate("sales", frozenset({"DB.S.T"}))
    done = time.monotonic()

    last_old = done
    while time.monotonic() < done + 0.3:
        asked = time.monotonic()
        if (await other.ask(backend)).body == b"first":
            last_old = asked
        await asyncio.sleep(0.001)
    assert last_old - done <= 0.1
    assert (await one.ask(backend)).body == b"second"


@pytest.mark.backend
async def test_a_write_by_one_connector_spoils_what_another_keeps_of_the_same_table(
    redis_server: RedisServer, pods: Pods
) -> None:
    one, other = (pods.pod(redis_server.configuration()) for _ in range(2))
    backend = Backend()
    await other.ask(backend, connector="reports")
    backend.content = "second"

    await one.answers.invalidate("sales", frozenset({"DB.S.T"}))

    await asyncio.sleep(0.1)
    assert (await other.ask(backend, connector="reports")).body == b"second"


@pytest.mark.backend
async def test_a_write_while_the_backend_answers_spoils_that_answer(redis_server: RedisServer, pods: Pods) -> None:
    one, other = (pods.pod(redis_server.configuration()) for _ in range(2))
    backend = Backend("read before the write", seconds=0.05)
    asking = asyncio.create_task(one.ask(backend))
    await eventually(lambda: backend.asked == 1, what="the backend is asked")

    await other.answers.invalidate("sales", frozenset({"DB.S.T"}))

    await asking
    backend.content = "read after it"
    await asyncio.sleep(0.1)
    assert (await one.ask(backend)).body == b"read after it"


@pytest.mark.backend
async def test_no_pod_keeps_what_it_reads_while_a_write_of_another_is_in_doubt(
    redis_server: RedisServer, pods: Pods
) -> None:
    one, other, third = (pods.pod(redis_server.configuration()) for _ in range(3))
    backend = Backend()
    await other.ask(backend)
    await one.answers.invalidate("sales", frozenset({"DB.S.T"}), doubt=1.0)
    # A write whose end is known takes no doubt away, nor does the end of the pod that has it.
    await third.answers.invalidate("sales", frozenset({"DB.S.T"}))
    await one.shared.close()
    await asyncio.sleep(0.1)

    found = []
    for content in ("before the write", "after it"):
        backend.content = content
        found.append((await other.ask(backend)).body)

    assert found == [b"before the write", b"after it"]
    await asyncio.sleep(1.0)
    await other.ask(backend)
    assert (await third.ask(backend)).info.hit


@pytest.mark.backend
async def test_a_doubt_from_when_redis_was_away_is_told_to_it_for_as_long_as_it_lasts(
    redis_server: RedisServer, pods: Pods
) -> None:
    one, other = pods.pod(redis_server.configuration(), patience=0.2), pods.pod(redis_server.configuration())
    backend = Backend()
    await one.ask(backend)
    redis_server.freeze()

    await one.answers.invalidate("sales", frozenset({"DB.S.T"}), doubt=60)

    redis_server.thaw()
    await eventually(lambda: not one.shared.generations.owed, what="Redis is told")
    await asyncio.sleep(0.1)
    await other.ask(backend)
    backend.content = "second"
    assert (await other.ask(backend)).body == b"second"


@pytest.mark.backend
async def test_a_tables_counter_has_no_end_at_which_it_could_be_evicted(redis_server: RedisServer, pods: Pods) -> None:
    pod = pods.pod(redis_server.configuration())
    await pod.ask(Backend())
    await pod.answers.invalidate("sales", frozenset({"DB.S.T"}))

    with redis_server.client() as client:
        left = [client.ttl(key) for key in client.scan_iter("rf:*:g:*")]

    assert left == [-1, -1]


@pytest.mark.backend
async def test_a_lost_counter_never_revives_an_old_answer(redis_server: RedisServer, pods: Pods) -> None:
    one, other = (pods.pod(redis_server.configuration()) for _ in range(2))
    backend = Backend()
    await one.ask(backend)
    backend.content = "second"
    with redis_server.client() as client:
        for key in client.scan_iter("rf:*:g:*"):
            client.delete(key)

    found = await other.ask(backend)

    assert found.body == b"second"


@pytest.mark.backend
async def test_pods_that_ask_at_once_ask_the_backend_once(redis_server: RedisServer, pods: Pods) -> None:
    backend = Backend(seconds=0.1)
    many = [pods.pod(redis_server.configuration()) for _ in range(10)]

    found = await asyncio.gather(*(pod.ask(backend) for pod in many for _ in range(5)))

    assert {each.body for each in found} == {b"first"}
    assert backend.asked == 1


@pytest.mark.backend
async def test_the_death_of_who_asks_holds_up_the_others_by_the_lease_at_most(
    redis_server: RedisServer, pods: Pods
) -> None:
    dead, alive = (pods.pod(redis_server.configuration()) for _ in range(2))
    slow, quick = Backend(seconds=60), Backend("second")
    asking = asyncio.create_task(dead.ask(slow))
    await eventually(lambda: slow.asked == 1, what="the first pod asks")
    assert dead.shared.store is not None
    # As if its process were gone: nothing more is renewed, nothing is released.
    dead.shared.store.is_reachable = False

    begun = time.monotonic()
    found = await alive.ask(quick)

    assert found.body == b"second"
    assert time.monotonic() - begun < 2.0
    asking.cancel()


@pytest.mark.backend
async def test_what_may_not_be_kept_does_not_make_pods_wait_for_each_other(
    redis_server: RedisServer, pods: Pods
) -> None:
    backend = Backend(seconds=0.2, may_keep=False)
    many = [pods.pod(redis_server.configuration()) for _ in range(10)]

    begun = time.monotonic()
    await asyncio.gather(*(pod.ask(backend) for pod in many))

    assert time.monotonic() - begun < 1.0


@pytest.mark.backend
async def test_100_000_answers_go_by_one_command(redis_server: RedisServer, pods: Pods) -> None:
    pod = pods.pod(redis_server.configuration())
    backend = Backend()
    await pod.ask(backend)
    with redis_server.client() as client:
        (key,) = client.scan_iter("rf:*:e:*")
        body = client.get(key)
        assert isinstance(body, bytes)
        with client.pipeline(transaction=False) as pipeline:
            for number in range(100_000):
                pipeline.set(f"{key.decode()}-{number}", body)
            pipeline.execute()
        before = client.info("commandstats")

        await pod.answers.invalidate("sales", frozenset({"DB.S.T"}))

        after = client.info("commandstats")
    assert _calls(after, "eval") - _calls(before, "eval") == 1
    backend.content = "second"
    assert (await pod.ask(backend)).body == b"second"


def _calls(stats: object, command: str) -> int:
    assert isinstance(stats, dict)
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


@pytest.mark.backend
async def test_redis_killed_under_load_fails_no_call_and_holds_each_pod_up_once(
    redis_server: RedisServer, pods: Pods
) -> None:
    pod = pods.pod(redis_server.configuration(), patience=PATIENCE_SECONDS)
    backend = Backend()
    await pod.ask(backend)

    redis_server.freeze()
    took = []
    for number in range(50):
        begun = time.monotonic()
        found = await pod.ask(backend, material=f"select {number % 5}")
        took.append(time.monotonic() - begun)
        assert found.body == b"first"
    redis_server.kill()

    assert [each.code for each in found.warnings] == ["CacheUnreachable"]
    assert pod.answers.is_reachable is False
    # Redis's share of the one hiccup is 45 ms; how busy the machine is decides the rest.
    assert sum(each > 0.04 for each in took) <= 2
    assert backend.asked <= 6

    redis_server.start()
    await eventually(lambda: pod.answers.is_reachable is True, what="Redis is back")
    assert (await pod.ask(backend, material="new")).warnings == ()


@pytest.mark.backend
async def test_what_was_changed_while_redis_was_away_is_made_good_once_it_is_back(
    redis_server: RedisServer, pods: Pods
) -> None:
    writer, reader = (pods.pod(redis_server.configuration(), patience=PATIENCE_SECONDS) for _ in range(2))
    backend = Backend()
    await reader.ask(backend)
    backend.content = "second"
    redis_server.freeze()

    warnings = await writer.answers.invalidate("sales", frozenset({"DB.S.T"}))
    redis_server.thaw()
    await eventually(lambda: writer.answers.is_reachable is True, what="Redis is back")

    assert [each.code for each in warnings] == ["CacheUnreachable"]
    await asyncio.sleep(0.15)
    assert (await reader.ask(backend)).body == b"second"


@pytest.mark.backend
async def test_a_skewed_load_on_twenty_pods_asks_once_per_key(redis_server: RedisServer, pods: Pods) -> None:
    many = [pods.pod(redis_server.configuration()) for _ in range(20)]
    backends = [Backend(f"answer {number}") for number in range(1_000)]
    weights = [1 / (rank + 1) ** 1.1 for rank in range(len(backends))]
    asked = random.Random(7).choices(range(len(backends)), weights, k=10_000)

    async def ask(start: int) -> None:
        for place in range(start, len(asked), 40):
            await many[start % 20].ask(backends[asked[place]], material=f"select {asked[place]}")

    await asyncio.gather(*(ask(start) for start in range(40)))

    assert {each.asked for each in backends} <= {0, 1}
    assert sum(each.asked for each in backends) / len(asked) <= 0.1
